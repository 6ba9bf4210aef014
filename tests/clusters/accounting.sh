# shellcheck shell=bash disable=SC2154
# Slurm's accounting, for slurm.sh: slurmdbd (port 12 of the cluster's), without which there is no sacct, and
# the database below it (port 13), which trusts whoever reaches it and so listens on loopback only.

start_accounting() {
    need slurmdbd slurm-wlm-mysql-plugin mariadb-server-core
    start_database
    # It insists on this mode.
    install -m 600 /dev/stdin "$DIR/etc/slurmdbd.conf" << CONF
AuthType=auth/munge
AuthInfo=socket=$DIR/munge/socket
DbdHost=$(hostname -s)
DbdAddr=127.0.0.1
DbdPort=$((port + 12))
SlurmUser=root
PidFile=$DIR/pid/slurmdbd
LogFile=$DIR/log/slurmdbd
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 13))
StorageUser=root
StorageLoc=accounting
CONF
    port_is_ours $((port + 12)) "$DIR/pid/slurmdbd"
    alive "$DIR/pid/slurmdbd" || ns_run control "$DIR/log/slurmdbd" env SLURM_CONF="$SLURM_CONF" slurmdbd
    wait_for 30 "$DIR/log/slurmdbd" answers $((port + 12))
    wait_for 20 "$DIR/log/slurmdbd" cluster_is_known
}

start_database() {
    local data=$DIR/database mariadbd
    mariadbd=(mariadbd --no-defaults --datadir="$data" --user=root --skip-grant-tables)
    # What mariadb-install-db would do, were the programs it needs in these packages.
    if [ ! -e "$data/complete" ]; then
        rm -rf "$data"
        mkdir "$data"
        { printf '%s\n' 'create database mysql;' 'use mysql;'
          cat /usr/share/mysql/mysql_{system,performance}_tables.sql
        } | "${mariadbd[@]}" --bootstrap &> "$DIR/log/bootstrap" || give_up "$DIR/log/bootstrap" database
        touch "$data/complete"
    fi
    port_is_ours $((port + 13)) "$DIR/pid/mariadbd"
    alive "$DIR/pid/mariadbd" || ns_run control "$DIR/log/mariadbd" setsid -f "${mariadbd[@]}" \
        --bind-address=127.0.0.1 --port=$((port + 13)) --socket="$data/socket" \
        --pid-file="$DIR/pid/mariadbd" --innodb-flush-log-at-trx-commit=0
    wait_for 30 "$DIR/log/mariadbd" answers $((port + 13))
}

cluster_is_known() {
    [ "$(timeout 5 sacctmgr -n list cluster format=cluster | tr -d ' ')" = par ] \
        || timeout 10 sacctmgr -i add cluster par
}
