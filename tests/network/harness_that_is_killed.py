# SPDX-License-Identifier: GPL-2.0-or-later
"""A harness with everything running; prints what belongs to it and waits to be killed."""

import asyncio
import json
import sys
from pathlib import Path

from harness.capture.recording import Recording
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topologies import MOON_SUN


async def main(capture: Path) -> None:
    spawner = await Spawner.start()
    with Recording(capture) as recording:
        roots = {"moon": Path("/"), "sun": Path("/")}
        async with Network.up(MOON_SUN, spawner, roots, recording) as network:
            programs = [
                await node.spawn(["sh", "-c", "trap '' HUP TERM; sleep 1000 & wait"])
                for node in network.nodes.values()
            ]
            async with network.traffic("alice", "bob", every=0.001) as flow:
                await flow.crossed(50)
                pids = [node.pid for node in network.nodes.values()]
                owned = {
                    "pids": [spawner.pid, *pids, *(program.pid for program in programs)],
                    "nodes": pids,
                    "frames": len(recording.frames),
                }
                print(json.dumps(owned), flush=True)
                await asyncio.Event().wait()


asyncio.run(main(Path(sys.argv[1])))
