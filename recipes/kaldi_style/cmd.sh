# What the steps of run.sh are called with. With Kaldi's or ESPnet2's own scripts this would be
#   export train_cmd="run.pl"           on this machine
#   export train_cmd="queue.pl"         on Grid Engine, with conf/queue.conf
#   export train_cmd="slurm.pl"         on Slurm, with conf/slurm.conf

case ${cmd_backend:-local} in
    local) queue="espnet3-par queue --backend local" ;;
    # As one array, with the directives of a conf that recipes have already.
    sge) queue="espnet3-par queue --backend sge --config conf/queue.conf" ;;
    # As one array, with the options of a config of this tool.
    slurm) queue="espnet3-par queue --parallel conf/slurm.yaml" ;;
    *)
        echo "cmd.sh: unknown cmd_backend=${cmd_backend}; it is local, sge or slurm" >&2
        return 2
        ;;
esac
export train_cmd="${queue}"
export decode_cmd="${queue} --mem 1G"
