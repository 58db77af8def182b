"""The program that the fork server's tests start: it prints what a process can see of itself."""

import atexit
import json
import os
import sys
import time
from pathlib import Path

task = " ".join(sys.argv[1:])
if task == "facts":
    print(
        json.dumps(
            {
                "arguments": sys.argv[1:],
                "command": sys.orig_argv,
                "name": __name__,
                # An interpreter in the C locale sets LC_CTYPE. (PEP 538)
                "environment": sorted(set(os.environ.items()) - {("LC_CTYPE", "C.UTF-8")}),
                "directory": str(Path.cwd()),
                "session": os.getsid(0) == os.getpid() or "inherited",
                "descriptors": sorted(int(fd.name) for fd in Path("/proc/self/fd").iterdir())[:4],
                "stdin": sys.stdin.read(),
                "encoding": [sys.stdout.encoding, sys.stderr.errors],
                "zone": time.tzname,
                "path": sys.path[0],
            }
        )
    )
elif task.startswith("exit"):
    sys.exit(int(sys.argv[2]))
elif task == "raise":
    raise RuntimeError("as asked")
elif task.startswith("sys.exit"):
    sys.exit("text")
elif task == "atexit":
    atexit.register(print, "the end")
else:
    print("sleeping", flush=True)
    time.sleep(100)
