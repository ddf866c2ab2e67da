"""Run a script under Accelerate's FSDP without a GPU: python fsdp_on_cpu.py SCRIPT ...

torch also shards over CPU processes, but Accelerate 1.15 switches FSDP on only for GPUs. So the
process group is made on CPUs first and is then declared to be one of GPUs.
"""

import runpy
import sys
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import DistributedType

PartialState(cpu=True)
PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
sys.argv = sys.argv[1:]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
