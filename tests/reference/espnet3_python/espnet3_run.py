"""Has ESPnet3 itself run a provider and a runner, in one process, as its `infer` does.

usage: espnet3_run.py CONFIG OUTPUT_DIR [KEY=VALUE...]
"""

import sys
from pydoc import locate

from espnet3.parallel.parallel import set_parallel
from omegaconf import OmegaConf

config_file, output_dir, *overrides = sys.argv[1:]
config = OmegaConf.merge(OmegaConf.load(config_file), OmegaConf.from_dotlist(overrides))
if any(override.startswith("parallel.") for override in overrides):
    set_parallel(config.parallel)
params = OmegaConf.to_container(config.provider.get("params") or OmegaConf.create(), resolve=True)
provider = locate(config.provider._target_)(config, *([params] if params else []))
runner = locate(config.runner._target_)(provider, batch_size=config.get("batch_size"), output_dir=output_dir)
print(f"returned {runner(range(config.utterances))}")
