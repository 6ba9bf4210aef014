# Puts espnet3-par on PATH; else the one of this checkout, built first. Jobs on a cluster read this too.
. ../mini_an4/path.sh
