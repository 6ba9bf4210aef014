# Puts espnet3-par on PATH; else the one of this checkout, built first.
if ! command -v espnet3-par > /dev/null; then
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    echo "building espnet3-par (the first time takes some minutes)" >&2
    cargo build --release --quiet --manifest-path "${root}/Cargo.toml"
    PATH=${root}/target/release:${PATH}
    export PATH
fi
