# Puts espnet3-par on PATH; builds it if it is not there.
if ! command -v espnet3-par > /dev/null; then
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    if [ ! -x "${root}/target/release/espnet3-par" ]; then
        cargo build --release --manifest-path "${root}/Cargo.toml"
    fi
    PATH=${root}/target/release:${PATH}
    export PATH
fi
