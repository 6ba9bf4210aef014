"""The Python side of a worker: builds the env once, then computes the items it is sent.

Started by espnet3-par, which writes requests to file descriptor 3, one JSON text a line, and reads
answers from 4: a length of eight bytes, a JSON text, and perhaps numbers behind its line. stdout and
stderr stay the user's own; they go to the worker's log. File descriptor 5 is memory shared with the worker: the index of the item at hand, so that the worker
knows at which item this process died. Only the standard library is imported here.
"""

import array
import atexit
import faulthandler
import functools
import importlib
import inspect
import json
import math
import mmap
import os
import select
import sys
import time
import traceback

REQUESTS, ANSWERS, AT_HAND = 3, 4, 5
NOTHING = -1
# The file of the code that this is, as tracebacks name it.
OURS = (lambda: None).__code__.co_filename
# Results wait no longer than this for the next one, in seconds, to be sent together,
TOGETHER = 0.05
# unless one took so long that sending costs nothing beside it.
SLOW = 0.01
# From so many floats on a list goes as numbers: the worker writes them faster than Python can.
MANY = 32
# After so long, in seconds, the rest of the items is given back: the worker may want a part closed.
LONG = 1.0
# What ESPnet3's BaseRunner only stands in for; a class that has its own wants it called.
# With the number of arguments that are not taken from the env, and the stand-ins.
WRITER_HOOKS = (
    ("open_writers", 1, lambda folder: {}),
    ("write_record", 3, lambda writers, result, state: state["records"].append(result)),
    ("close_writers", 2, lambda writers, state: None),
)


class Later:
    """A provider that is made when somebody asks it for something: making it can build a model."""

    def __init__(self, make):
        self._make = functools.cache(make)

    def __getattr__(self, name):
        return getattr(self._make(), name)


FORKED = False


def forked():
    """In a forked child: the worker must see the end of this process, not of its children; and a child
    that leaves `forward` has no more to do here."""
    global FORKED
    if FORKED:
        return
    FORKED = True
    for descriptor in (REQUESTS, ANSWERS):
        os.close(descriptor)


class Attributes(dict):
    """A mapping whose keys are attributes too, where OmegaConf is not installed."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    __setattr__ = dict.__setitem__


def as_config(value):
    """The resolved config as ESPnet3 hands it over: a DictConfig, if OmegaConf is there."""
    try:
        from omegaconf import OmegaConf
    except ImportError:
        return with_attributes(value)
    convert_targets(value)
    return OmegaConf.create(value)


def convert_targets(value):
    """Hydra gives plain lists and dicts to what it instantiates; so does ESPnet3's own loader."""
    if isinstance(value, dict):
        if "_target_" in value:
            value["_convert_"] = "all"
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        convert_targets(inner)


def with_attributes(value):
    if isinstance(value, dict):
        return Attributes((key, with_attributes(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return [with_attributes(inner) for inner in value]
    return value


def locate(path):
    """The object that a dotted `_target_` names."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # Not there; anything else that is missing is the module's own trouble.
            if error.name and (module == error.name or module.startswith(error.name + ".")):
                continue
            raise
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(f"there is no module for `{path}`; modules are looked for in {sys.path}")


def static(owner, name):
    """Whether a class has `name` as a function that needs no instance."""
    found = inspect.getattr_static(owner, name, None)
    return isinstance(found, (staticmethod, classmethod))


def own(runner, name):
    """Whether a runner's class, or one it is derived from, overrides what ESPnet3's BaseRunner, or
    an abstract one like it, only stands in for."""
    for owner in runner.__mro__:
        if name in vars(owner):
            forward = vars(owner).get("forward")
            return owner.__name__ != "BaseRunner" or not getattr(forward, "__isabstractmethod__", False)
    return False


def bind(function, positional, env):
    """`function` with all of `env` that it takes by name; so many arguments are still to come."""
    parameters = inspect.signature(function).parameters
    everything = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    taken = list(parameters)[:positional]
    named = {
        key: value
        for key, value in env.items()
        if key not in taken and (everything or key in parameters)
    }
    return functools.partial(function, **named)


def conflict(names, one, other):
    if names:
        raise ValueError(f"Argument conflict: {set(names)} passed via both {one} and {other}")


class Computation:
    """A provider and a runner of the config, for one of its test sets if it has some."""

    def __init__(self, request):
        config, self.output_dir = request["config"], request["output_dir"]
        self.test_set = request.get("test_set")
        if self.test_set is not None:
            config["test_set"] = self.test_set
        self.sections = {role: dict(config[role]) for role in ("provider", "runner")}
        self.targets = {role: locate(section.pop("_target_")) for role, section in self.sections.items()}
        for section in self.sections.values():
            section.pop("_convert_", None)
        self.config = as_config(config)
        self.params = dict(self.sections["provider"].pop("params", None) or {})
        if "input_key" in config:
            self.params.update(espnet3_inference_params(config))

    @functools.cached_property
    def provider(self):
        target, given = self.targets["provider"], self.sections["provider"]
        parameters = inspect.signature(target).parameters
        names = list(parameters)
        for name in [name for name in ("inference_config", "config") if name in names] or names[:1]:
            if name not in given and name != "params":
                given = {name: self.config, **given}
                break
        if "params" in names:
            given = {**given, "params": self.params}
        else:
            conflict(self.params.keys() & given.keys(), "`provider.params`", "`provider`")
            given = {**given, **self.params}
        return target(**given)

    @property
    def runner(self):
        target = self.targets["runner"]
        offered = {
            "provider": Later(lambda: self.provider),
            "output_dir": self.output_dir,
        }
        if "input_key" in self.params:
            keys = {"hyp_key": self.params["output_keys"] or [], "ref_key": []}
            offered.update(keys, idx_key=self.params["idx_key"])
        return bind(target, 0, offered)(**self.sections["runner"])

    def length(self):
        """How many items there are, without building the model if that can be avoided."""
        provider = self.targets["provider"]
        if static(provider, "build_dataset"):
            config = self.config
            update = getattr(config, "update", None)
            if update:
                update(self.params)
            return len(provider.build_dataset(config))
        if hasattr(provider, "build_dataset"):
            return len(self.provider.build_dataset(self.config))
        env = self.env()
        if "dataset" not in env:
            raise ValueError(
                "the env has no `dataset` to count: give `num_items` in the config, or `build_dataset`"
                f" in {provider.__qualname__}"
            )
        return len(env["dataset"])

    def env(self):
        provider = self.provider
        setup = getattr(provider, "build_worker_setup_fn", None) or getattr(
            provider, "make_worker_setup_fn", None
        )
        if isinstance(getattr(provider, "_local_env", None), dict):
            # ESPnet3's own InferenceProvider has built it already; once is enough.
            setup = provider.build_env_local
        elif setup is not None:
            setup = setup()
        else:
            setup = provider.build_env_local
        env = setup()
        if not isinstance(env, dict):
            raise TypeError(
                f"the env must be a plain dict, but {type(provider).__qualname__} built"
                f" a {type(env).__qualname__}"
            )
        other = {key for key, value in self.params.items() if key in env and env[key] is not value}
        conflict(other | (self.params.keys() & {"dataset", "model"}), "`provider.params`", "the env")
        env.setdefault("output_dir", self.output_dir)
        return env


def espnet3_inference_params(config):
    """What ESPnet3's `infer` adds to `provider.params`, for configs of its inference stage."""
    keys = config.get("output_keys")
    params = {
        "input_key": config["input_key"],
        "idx_key": config.get("idx_key", "utt_id"),
        "output_keys": [keys] if isinstance(keys, str) else keys,
        "output_artifacts": config.get("output_artifacts") or {},
    }
    contract = config.get("contract")
    if contract:
        params["inference_contract"] = contract
        if contract.get("imports"):
            params["inference_contract_root"] = os.path.abspath(config.get("recipe_dir") or ".")
    if config.get("output_fn"):
        params["output_fn_path"] = config["output_fn"]
    return params


class Work:
    """An env at work."""

    def __init__(self, request):
        self.computation = computation = Computation(request)
        runner = computation.targets["runner"]
        if not hasattr(runner, "forward"):
            raise TypeError(f"{runner.__qualname__} has no `forward`")
        first = next(iter(inspect.signature(runner.forward).parameters), None)
        if first == "self":
            raise TypeError(f"`forward` of {runner.__qualname__} needs `self`: make it a @staticmethod")
        self.listed = request["batch_size"] is not None
        self.batch_size = request["batch_size"] or 1
        self.spoilt = False
        self.runner = runner
        self.env = env = computation.env()
        conflict({first} & env.keys(), "the item's index", "the env")
        function = runner.forward
        if self.listed and hasattr(runner, "batch_forward"):
            function = runner.batch_forward
        self.compute = bind(function, 1, env)
        self.hooks = any(own(runner, name) for name, _, _ in WRITER_HOOKS)
        self.ours = {"test_set": computation.test_set} if computation.test_set else {}

    def answer(self):
        return {"hooks": self.hooks}

    def name_of(self, idx):
        if hasattr(self.runner, "item_name"):
            try:
                return readable(str(bind(self.runner.item_name, 1, self.env)(idx)))
            except Exception:
                return None
        return f"{self.computation.test_set}[{idx}]" if self.computation.test_set else None

    def failure(self, idx):
        """The exception at hand as an item's fate. A list: what succeeds is an object."""
        why = exception_text()
        # After one of these every call of CUDA in this process fails.
        self.spoilt |= "CUDA error" in why
        return ["error", why, self.name_of(idx)]

    # With the writer hooks of ESPnet3's runners, results go where the runner puts them.

    def open(self, folder):
        os.makedirs(folder)
        from pathlib import Path

        env = {"shard_id": int(folder.rpartition(".")[2]), "shard_subdir": "", **self.env}
        open_writers, write_record, close_writers = (
            bind(getattr(self.runner, name, stand_in), positional, env)
            for name, positional, stand_in in WRITER_HOOKS
        )
        state = {"shard_dir": folder, "records": []}
        writers = state["_writers"] = open_writers(Path(folder)) or {}
        self.write = lambda result: write_record(writers, result, state)
        self.close = lambda: close_writers(writers, state) and None

    def forward(self, items):
        """The fate of each item of a batch."""
        if not self.listed:
            (idx,) = items
            try:
                result = self.compute(idx)
            except BaseException:
                if FORKED:
                    raise
                return [self.failure(idx)]
            return [self.fields(idx, result) if not self.hooks else self.written(idx, result)]
        try:
            result = self.compute(list(items))
            if self.hooks:
                self.written(items[0], result)
                return [{}] * len(items)
            if len(items) == 1 and not isinstance(result, (list, tuple)):
                result = [result]
            if not isinstance(result, (list, tuple)) or len(result) != len(items):
                size = f" of {len(result)}" if hasattr(result, "__len__") else ""
                raise TypeError(
                    f"`forward` got {len(items)} items and returned a {type(result).__qualname__}{size};"
                    " a list of one result for each item is expected"
                )
        except Tainted:
            raise
        except BaseException:
            if FORKED:
                raise
            if len(items) == 1:
                return [self.failure(items[0])]
            print(f"a batch of {len(items)} items failed; trying them one by one", file=sys.stderr)
            traceback.print_exc()
            return [fate for idx in items for fate in self.forward([idx])]
        return [self.fields(idx, one) for idx, one in zip(items, result)]

    def written(self, idx, result):
        try:
            self.write(result)
        except BaseException:
            if FORKED:
                raise
            # What it wrote before it failed cannot be taken back: the worker has this part written anew.
            raise Tainted(self.failure(idx)) from None
        return {}

    def fields(self, idx, result):
        """What `forward` returned as the fields of a record."""
        if not isinstance(result, dict):
            result = {"value": result}
        try:
            conflict(result.keys() & {"idx", "test_set", "test_idx"}, "the record", "the item's index")
        except ValueError:
            return self.failure(idx)
        for key, value in result.items():
            if type(value) is list and len(value) >= MANY:
                result = {**result, key: NUMBERS.take(value)}
        return {**self.ours, "test_idx": idx, **result} if self.ours else result


class Tainted(Exception):
    """A writer failed half-way."""


def exception_text():
    """The exception at hand: its last line first, then the way to it, without ours."""
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename == OURS:
        trace = trace.tb_next
    message = "".join(traceback.format_exception_only(kind, error)).strip()
    way = "".join(traceback.format_tb(trace)).rstrip()
    return readable(f"{message}\nTraceback (most recent call last):\n{way}" if way else message)


def readable(text):
    """Without the surrogates that stand for bytes in file names: UTF-8 has no form for them."""
    return text.encode("utf-8", "replace").decode()


class Numbers:
    """Long lists of floats of the next answer; a word that nobody knows stands for each in its text."""

    def __init__(self):
        self.word = f"floats {os.urandom(8).hex()} "
        self.lists = []
        self.wanted = False

    def take(self, values):
        if not self.wanted or set(map(type, values)) != {float}:
            return values
        self.lists.append(array.array("d", values))
        return self.word + str(len(self.lists) - 1)

    def hand_over(self):
        lists, self.lists = self.lists, []
        return lists


NUMBERS = Numbers()


def plain(value):
    """Numbers and arrays of NumPy and torch, and paths, as JSON has them."""
    if hasattr(value, "tolist"):
        value = value.tolist()
        return NUMBERS.take(value) if type(value) is list and len(value) >= MANY else value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if type(value).__module__.startswith("omegaconf."):
        from omegaconf import OmegaConf

        return OmegaConf.to_container(value, resolve=True)
    raise TypeError(
        f"`forward` returned a {type(value).__qualname__}, which JSON has no form for;"
        " return numbers, texts, lists and dicts, or write files in `write_record`"
    )


def finite(value):
    """JSON has no NaN and no infinity: they become null, as in every stage."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if value is None or isinstance(value, (str, int)):
        return value
    return finite(plain(value))


def encoder(allow_nan=False):
    encode = json.JSONEncoder(
        ensure_ascii=False, allow_nan=allow_nan, separators=(",", ":"), default=plain
    ).encode
    return lambda value: encode(value).encode("utf-8")


ENCODE = encoder()


def encode_fate(work, idx, fate):
    try:
        try:
            return ENCODE(fate)
        except ValueError:
            return ENCODE(finite(fate))
    except Exception:
        return ENCODE(work.failure(idx))


def send(text, numbers=()):
    size = len(text) + 1 + sum(len(each) * each.itemsize for each in numbers)
    for piece in (size.to_bytes(8, "little"), text, b"\n", *numbers):
        piece = memoryview(piece).cast("B")
        while piece:
            piece = piece[os.write(ANSWERS, piece) :]


def send_fates(work, items, fates, at_hand, more=b""):
    # If one of several results kills this process, nobody could tell which.
    at_hand[0] = items[0] if len(fates) == 1 else NOTHING
    try:
        encoded = ENCODE(fates)
    except Exception:
        # One of them is no JSON as it is: find out which.
        encoded = b"[" + b",".join(encode_fate(work, *each) for each in zip(items, fates)) + b"]"
    numbers = NUMBERS.hand_over()
    if numbers:
        more += b'"word":%s,"floats":%s,' % (ENCODE(NUMBERS.word), ENCODE([len(each) for each in numbers]))
    send(b'{%s"done":%s}' % (more, encoded), numbers)


def run(work, items, at_hand):
    """Computes items, and sends what is done every now and then."""
    NUMBERS.wanted = True
    sent, fates, clock = 0, [], time.monotonic
    begun = last = before = clock()
    for start in range(0, len(items), work.batch_size):
        batch = items[start : start + work.batch_size]
        at_hand[0] = batch[0]
        try:
            fates += work.forward(batch)
        except Tainted as tainted:
            send_fates(work, items[sent:], fates, at_hand)
            send(ENCODE({"tainted": tainted.args[0]}))
            return
        if FORKED:
            sys.exit()
        now = clock()
        if work.spoilt or now - begun > LONG:
            send_fates(work, items[sent:], fates, at_hand, b'"spoilt":true,' if work.spoilt else b'"paused":true,')
            at_hand[0] = NOTHING
            return
        if now - before > SLOW or now - last > TOGETHER:
            send_fates(work, items[sent:], fates, at_hand)
            sent, fates, last = sent + len(fates), [], now
        before = now
    if fates:
        send_fates(work, items[sent:], fates, at_hand)
    at_hand[0] = NOTHING


def merge(request):
    """Has the runner merge what its writers wrote, if it does that. One folder a shard."""
    from pathlib import Path

    computation = Computation(request)
    if not own(computation.targets["runner"], "merge"):
        return None
    os.makedirs(computation.output_dir, exist_ok=True)
    runner = computation.runner
    runner.output_dir = Path(computation.output_dir)
    merged = runner.merge([Path(folder) for folder in request["folders"]])
    return None if merged is True else finite(merged)


def requests(patience):
    """Requests, line by line, until there are no more, or none for `patience` seconds."""
    pending = b""
    while True:
        line, newline, rest = pending.partition(b"\n")
        if newline:
            pending = rest
            yield json.loads(line)
            continue
        if not select.select([REQUESTS], [], [], patience)[0]:
            return
        more = os.read(REQUESTS, 1 << 20)
        if not more:
            return
        pending += more


def main(arguments):
    faulthandler.enable()
    # What is said right before a crash is said.
    sys.stdout.reconfigure(line_buffering=True)
    for descriptor in (REQUESTS, ANSWERS, AT_HAND):
        os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=forked)
    at_hand = memoryview(mmap.mmap(AT_HAND, mmap.PAGESIZE)).cast("q")
    work = None
    for request in requests(arguments["patience"]):
        do = request["do"]
        if do == "run":
            work.batch_size = request["batch"]
            run(work, request["items"], at_hand)
            continue
        NUMBERS.wanted = False
        try:
            if do == "env":
                # The old one goes first: two models may not fit.
                work = None
                work = Work(request)
                answer = work.answer()
            elif do == "open":
                answer = work.open(request["folder"])
            elif do == "close":
                answer = work.close()
                work.close = work.write = None
            elif do == "length":
                answer = Computation(request).length()
            elif do == "merge":
                answer = merge(request)
            else:
                raise ValueError(f"unknown request {do}")
            # In a list, so that nothing is an answer too.
            answer = ENCODE({"ok": [answer]})
        except BaseException:
            if FORKED:
                raise
            answer = ENCODE({"failed": exception_text()})
        send(answer)


main(json.loads(sys.argv[1]))
# Taking torch apart takes seconds; what is registered for the end is done, the rest is the system's.
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
