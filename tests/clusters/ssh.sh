#!/usr/bin/env bash
# Three ssh hosts h1 to h3 on this machine. They share its file system, as cluster nodes do, except for
# DIR/scratch, which is another directory on each (DIR/private/HOST as seen from outside). Each has its own
# network, host name, sshd and host key. `ssh -F DIR/ssh_config h1` goes there. See lib.sh for up and down.
#
#   cut DIR HOST    the network swallows what the host sends; it goes on working, and nobody is told
#   heal DIR HOST   ends that
#   kill DIR HOST   power failure: everything on it is gone at once, until the next up
#
# The hosts are 10.N.x.2. Several clusters can be there at once: each takes an N that is free.
usage='ssh.sh up|down DIR; ssh.sh cut|heal|kill DIR HOST'
. "$(dirname "$0")/lib.sh"

hosts=(h1 h2 h3)
port=2222

do_up() {
    local host
    need openssh-server openssh-client iproute2 sshfs
    mkdir -p "$DIR"/{etc,log,pid,scratch,private/{h1,h2,h3}} /run/sshd
    chmod 755 "$DIR"
    take_net
    [ -e "$DIR/etc/id" ] || ssh-keygen -q -t ed25519 -N '' -C "$net-user" -f "$DIR/etc/id"
    for host in "${hosts[@]}"; do
        make_network "$host"
        start_sshd "$host"
    done
    client_files
    for host in "${hosts[@]}"; do
        wait_for 20 "$DIR/log/$host" timeout 5 ssh -n -F "$DIR/ssh_config" -o BatchMode=yes "$host" true
    done
}

# An address that belongs to no host goes nowhere. Whoever could add that route has the network, until `down`
# or until the machine starts anew.
take_net() {
    local host number
    ns_pinned "$DIR/ns/${hosts[0]}" || rm -f "$DIR/net"
    for host in "${hosts[@]}"; do
        ns_make "$host" "$host"
    done
    for number in {199..150}; do
        [ ! -s "$DIR/net" ] || break
        ! ip route add blackhole "10.$number.0.0/16" 2> /dev/null || echo "$number" > "$DIR/net"
    done
    read_net
}

read_net() { net=$(cat "$DIR/net"); netns=par$net; } # a host's namespace: this, and its name

address() { echo "10.$net.${1#h}.2"; } # HOST

gateway() { echo "10.$net.${1#h}.1"; } # HOST

# A cable from this machine to the host. It has no other, and no route to anywhere else.
make_network() { # HOST
    local name=$netns$1
    [ -e "/run/netns/$name" ] || ip netns add "$name"
    if ! ip -n "$name" link show eth0 > /dev/null 2>&1; then
        ip link add "$name" type veth peer name eth0 netns "$name"
        ip addr add "$(gateway "$1")/30" dev "$name"
        ip -n "$name" addr add "$(address "$1")/30" dev eth0
    fi
    ip link set "$name" up
    ip -n "$name" link set lo up
    ip -n "$name" link set eth0 up
    do_heal "$1"
}

start_sshd() { # HOST
    local conf=$DIR/etc/$1.conf
    [ -e "$DIR/etc/key.$1" ] || ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$DIR/etc/key.$1"
    cat > "$conf" << CONF
ListenAddress $(address "$1"):$port
HostKey $DIR/etc/key.$1
PidFile $DIR/pid/$1
AuthorizedKeysFile $DIR/etc/id.pub
# The directories above belong to whoever runs the test.
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
# So many workers may be started at once; by default a tenth of them would be refused at random.
MaxStartups 200
MaxSessions 200
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
CONF
    # `ip netns exec` makes a mount namespace too: the scratch directory is nobody else's, and the .bashrc of
    # whoever runs the test is not read: what it starts at each login may be killed with the host.
    alive "$DIR/pid/$1" || ns_run "$1" "$DIR/log/$1" ip netns exec "$netns$1" sh -c "
        { [ ! -e ~/.bashrc ] || mount --bind /dev/null ~/.bashrc; } &&
        mount --bind '$DIR/private/$1' '$DIR/scratch' && exec /usr/sbin/sshd -f '$conf' -E '$DIR/log/$1'"
}

# What a user would have in ~/.ssh. No timeouts: whoever needs them has to ask for them.
client_files() {
    local host
    for host in "${hosts[@]}"; do
        echo "[$(address "$host")]:$port $(cut -d ' ' -f 1,2 "$DIR/etc/key.$host.pub")" >&3
        cat << CONF
Host $host
    HostName $(address "$host")
    Port $port
    User root
    IdentityFile $DIR/etc/id
    IdentitiesOnly yes
    UserKnownHostsFile $DIR/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
CONF
    done > "$DIR/ssh_config" 3> "$DIR/known_hosts"
    echo "export PAR_SSH_CONFIG=$DIR/ssh_config" > "$DIR/env.sh"
}

check_host() { # HOST
    [[ " ${hosts[*]} " == *" ${1:-} "* ]] || fail "which of ${hosts[*]}?"
    read_net
}

do_cut() { # HOST
    check_host "$@"
    ip -n "$netns$1" route replace blackhole "$(gateway "$1")/32"
}

do_heal() { # HOST
    check_host "$@"
    ip -n "$netns$1" route del blackhole "$(gateway "$1")/32" 2> /dev/null || true
}

do_kill() { # HOST
    check_host "$@"
    ns_kill "$1"
}

do_down() {
    local host
    ns_kill "${hosts[@]}"
    if [ -s "$DIR/net" ]; then
        read_net
        for host in "${hosts[@]}"; do
            [ ! -e "/run/netns/$netns$host" ] || ip netns del "$netns$host"
        done
        ip route del blackhole "10.$net.0.0/16" 2> /dev/null || true
    fi
    rm -f "$DIR"/pid/* "$DIR/net"
}

dispatch "$@"
