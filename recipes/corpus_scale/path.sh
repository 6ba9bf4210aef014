# Puts espnet3-par on PATH; else the one of this checkout, built first.
. ../mini_an4/path.sh
