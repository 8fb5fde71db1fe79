"""Compares what the engine says of random machines with what `transitions` says.

    python compare.py WORLDS.jsonl [--different N]    compare; N machines must differ from each other
"""

import argparse
import json
import sys
from pathlib import Path

# Enough to see what is wrong.
MOST_DIFFERENCES = 10


class Peer:
    """A machine of `transitions` with our layers, guards and roles in it."""

    def __init__(self, machine):
        from transitions import Machine, State

        self.resolved = machine
        self.model = type("Item", (), {})()
        stages, ways = machine["stages"], machine["transitions"]
        declared = machine["declared"]["transitions"]
        # Each transition has two triggers: its event, and one of its own that asks about it alone.
        self.machine = Machine(
            model=self.model,
            states=[State(name, final=stages[name].get("final", False)) for name in machine["declared"]["stages"]],
            transitions=[
                {"trigger": trigger, "source": ways[name]["from"], "dest": ways[name]["to"], "conditions": conditions}
                for name in declared
                for conditions in [self.conditions(ways[name])]
                for trigger in (f"event {ways[name]['event']}", f"transition {name}")
            ],
            initial=next(name for name, stage in stages.items() if stage.get("initial")),
            auto_transitions=False,
        )

    @staticmethod
    def conditions(way):
        def of_role(inputs, roles):
            return way.get("role") is None or way["role"] in roles

        def of(guard):
            return lambda inputs, roles: not guard.faults(inputs)

        return [of_role, *(of(binding["is"]) for binding in way["guards"].values())]

    def at(self, stage):
        self.machine.set_state(stage)

    def states(self, inputs, roles):
        """For each transition, in declared order: enabled, blocked, or not from here."""
        here = set(self.machine.get_triggers(self.model.state))

        def state(name):
            trigger = f"transition {name}"
            if trigger not in here:
                return "n"
            return "e" if self.model.may_trigger(trigger, inputs, roles) else "b"

        return "".join(state(name) for name in self.resolved["declared"]["transitions"])

    def fire(self, event, inputs, roles):
        """The stage after an event; None where the event is refused."""
        trigger = f"event {event}"
        if trigger not in self.machine.get_triggers(self.model.state):
            return None
        return self.model.state if self.model.trigger(trigger, inputs, roles) else None

    def is_final(self):
        return self.machine.get_state(self.model.state).final


class Comparison:
    def __init__(self):
        self.machines = self.steps = self.answers = self.taken = self.refused = self.inactive = 0
        self.different = set()
        self.differences = []

    def differ(self, place, what, ours, theirs):
        self.differences.append(f"{place}: {what}\n    engine: {ours}\n    oracle: {theirs}")

    def same(self, place, what, ours, theirs):
        if ours != theirs:
            self.differ(place, what, ours, theirs)
        return ours == theirs

    def world(self, world):
        from layers import Inactive, resolve

        for exported in world["machines"]:
            names = [exported["tenant"], exported["workflow"], exported["category"]]
            place = f"seed {world['seed']}, {'/'.join(name or '-' for name in names)}"
            try:
                resolved = resolve(world, *names)
            except Inactive:
                self.inactive += 1
                self.same(place, "refusal", exported.get("refused"), "inactive_template")
                continue
            if self.same(place, "refusal", exported.get("refused"), None):
                self.machine(place, exported, resolved)

    def machine(self, place, exported, resolved):
        self.machines += 1
        stages, ways = resolved["stages"], resolved["transitions"]
        declared = resolved["declared"]
        shape = [
            resolved["version"],
            [[name, stages[name].get("initial", False), stages[name].get("final", False), stages[name]["layer"]]
             for name in declared["stages"]],
            [[name, *(ways[name].get(field) for field in ("event", "from", "to", "role", "layer"))]
             for name in declared["transitions"]],
        ]
        guards = {name: {key: it["is"].tree for key, it in way["guards"].items()} for name, way in ways.items()}
        self.different.add(hash(json.dumps([shape, guards], sort_keys=True)))
        same = [
            self.same(place, what, exported[what], mine)
            for what, mine in zip(("version", "stages", "transitions"), shape)
        ]
        if not all(same):
            return
        peer = Peer(resolved)
        for number, walk in enumerate(exported["walks"]):
            peer.at(walk["start"])
            for at, step in enumerate(walk["steps"]):
                if not self.step(f"{place}, walk {number}, step {at} at {peer.model.state}", peer, step):
                    return

    def step(self, place, peer, step):
        self.steps += 1
        self.answers += len(step["states"]) + len(step["checks"])
        inputs, roles = {}, set(step["roles"])
        for name, value in step["inputs"]:
            inputs.setdefault(name, value)
        here, resolved = peer.model.state, peer.resolved
        ways, declared = resolved["transitions"], resolved["declared"]["transitions"]
        states = peer.states(inputs, roles)
        known = self.same(place, f"states of {declared} with {inputs} and {sorted(roles)}", step["states"], states)

        blockers = set()
        for name, state in zip(declared, states):
            way = ways[name]
            if state == "b" and way.get("role") is not None and way["role"] not in roles:
                blockers.add((name, None, "role_required", way["role_layer"]))
            if state == "b":
                for binding, guard in way["guards"].items():
                    faults = guard["is"].faults(inputs)
                    blockers.update((name, binding, code, guard["layer"]) for code in faults)
        readable = lambda found: sorted(found, key=repr)
        ours = {tuple(blocker) for blocker in step["blockers"]}
        known &= self.same(place, f"blockers with {inputs}", readable(ours), readable(blockers))

        for to, ours, taken in step["checks"]:
            between = [name for name in declared if ways[name]["from"] == here and ways[name]["to"] == to]
            enabled = [name for name in between if states[declared.index(name)] == "e"]
            refusal = (
                "unknown_stage" if to not in resolved["stages"]
                else "illegal_transition" if not between
                else "guard_failed"
            )
            mine = ["allowed", enabled[0]] if enabled else [refusal, None]
            known &= self.same(place, f"check to {to}", [ours, taken], mine)

        after = peer.fire(step["event"], inputs, roles)
        self.taken += after is not None
        self.refused += after is None
        known &= self.same(place, f"stage after event {step['event']}", step["to"], after)
        known &= self.same(place, f"whether {peer.model.state} is final", step["final"], peer.is_final())
        return known


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worlds", type=Path)
    parser.add_argument("--different", type=int, default=0)
    options = parser.parse_args()
    comparison = Comparison()
    seed = None
    with options.worlds.open() as lines:
        for line in lines:
            world = json.loads(line)
            comparison.world(world)
            if comparison.differences:
                seed = world["seed"]
                break
    for difference in comparison.differences[:MOST_DIFFERENCES]:
        print(difference)
    if seed is not None:
        print(f"`LEASEHOLD_SEED={seed} cargo xtask test --only oracle` compares this world again")
        return 1
    print(
        f"{comparison.machines} machines, {len(comparison.different)} of them different; {comparison.steps} steps: "
        f"{comparison.taken} events taken, {comparison.refused} refused; {comparison.answers} answers compared; "
        f"{comparison.inactive} machines inactive"
    )
    if len(comparison.different) < options.different:
        print(f"too few different machines: {options.different} are wanted")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
