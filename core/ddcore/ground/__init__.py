"""The ground: tensors and compute. It knows nothing of distillation."""

from ddcore.ground.addresses import is_address
from ddcore.ground.devices import (
    PRECISIONS,
    autocast,
    check_precision,
    dtype_of,
    fitting_micro_batch,
    fitting_second_order_micro_batch,
    matmul_precision,
    precision_facts,
    resolve_device,
    to_device,
    usual_precision,
    warm_allocator,
)
from ddcore.ground.lamb import Lamb
from ddcore.ground.mapped import examples_at, lots, placed
from ddcore.ground.memory import fitting
from ddcore.ground.optimiser import KINDS, SCHEDULES, Optimiser
from ddcore.ground.pictures import named_rows
from ddcore.ground.randomness import default_generator_seeded, default_generators_seeded, derive_seed, generator
from ddcore.ground.ranks import ALONE, Ranks, join_process_group, launched, local_device
from ddcore.ground.statefile import read_state, write_state
from ddcore.ground.tally import Tally, sayer
from ddcore.ground.tensorfile import (
    MAX_FILE,
    MAX_HEADER,
    MAX_TENSORS,
    pack_tensors,
    read_json,
    read_limited,
    read_tensors,
    unpack_tensors,
    write_atomically,
    write_tensors,
)
from ddcore.ground.words import UNDEFINED, counted, duration, interval, shown
from ddcore.ground.workers import Workers, one_thread

__all__ = [
    "ALONE",
    "KINDS",
    "MAX_FILE",
    "MAX_HEADER",
    "MAX_TENSORS",
    "PRECISIONS",
    "SCHEDULES",
    "UNDEFINED",
    "Lamb",
    "Optimiser",
    "Ranks",
    "Tally",
    "Workers",
    "autocast",
    "check_precision",
    "counted",
    "default_generator_seeded",
    "default_generators_seeded",
    "derive_seed",
    "dtype_of",
    "duration",
    "examples_at",
    "fitting",
    "fitting_micro_batch",
    "fitting_second_order_micro_batch",
    "generator",
    "interval",
    "is_address",
    "join_process_group",
    "launched",
    "local_device",
    "lots",
    "matmul_precision",
    "named_rows",
    "one_thread",
    "pack_tensors",
    "placed",
    "precision_facts",
    "read_json",
    "read_limited",
    "read_state",
    "read_tensors",
    "resolve_device",
    "sayer",
    "shown",
    "to_device",
    "unpack_tensors",
    "usual_precision",
    "warm_allocator",
    "write_atomically",
    "write_state",
    "write_tensors",
]
