"""A tenant's machine, made of its layers: a version, its override for the category, the tenant's patches, settings."""

import copy

from guards import BUILT_IN, Guard


class Inactive(Exception):
    """Nobody may use the template."""


def resolve(world, tenant, workflow, category):
    """The stages, transitions and guards of a machine, with the layer that touched each of them last."""
    definitions = world["definitions"]
    template = definitions["workflows"][workflow]
    own = definitions["tenants"][tenant].get("workflows", {}).get(workflow, {})
    if not template.get("active", True) or not own.get("active", True):
        raise Inactive
    versions = template["versions"]
    number = own.get("version") or template.get("current") or max(int(version) for version in versions)
    version = versions[str(number)]
    of_category = own.get("categories", {}).get(category, {})

    machine = {"version": number, "stages": {}, "transitions": {}}
    for kind in ("stages", "transitions"):
        for name, value in version.get(kind, {}).items():
            put(machine, kind, name, value, "template")
    override = version.get("categories", {}).get(category, {})
    lay(machine, override.get("patch", []), "category")
    lay(machine, own.get("patch", []), "tenant")
    lay(machine, of_category.get("patch", []), "tenant_category")
    known = BUILT_IN | {
        key: guard | {"tree": world["expressions"][key], "inputs": guard.get("inputs", {})}
        for key, guard in definitions.get("guards", {}).items()
    }
    settings = [own.get("settings", {}), of_category.get("settings", {})]
    for transition in machine["transitions"].values():
        for name, binding in transition["guards"].items():
            key = binding.get("guard") or name
            filled = {}
            for source in settings:
                filled.update(source.get(key, {}))
            filled.update(binding.get("settings", {}))
            binding["is"] = Guard(known[key], filled)
    machine["declared"] = {
        kind: sorted(machine[kind], key=lambda name: (machine[kind][name].get("order", 0), name))
        for kind in ("stages", "transitions")
    }
    return machine


def put(machine, kind, name, value, layer):
    if name in machine[kind]:
        raise ValueError(f"{name} is there already")
    value = copy.deepcopy(value)
    value["layer"] = layer
    if kind == "transitions":
        value["role_layer"] = layer
        for binding in value.setdefault("guards", {}).values():
            binding["layer"] = layer
    machine[kind][name] = value


def lay(machine, patch, layer):
    """Does the operations of a patch in their order."""
    for operation in patch:
        change = operation.get("value", {})
        if "stage" in operation:
            edit(machine, "stages", operation["stage"], operation["op"], change, layer)
        elif "guard" not in operation:
            if operation["op"] == "change" and "role" in change:
                machine["transitions"][operation["transition"]]["role_layer"] = layer
            edit(machine, "transitions", operation["transition"], operation["op"], change, layer)
        else:
            bindings = machine["transitions"][operation["transition"]]["guards"]
            name = operation["guard"]
            if operation["op"] == "add":
                if name in bindings:
                    raise ValueError(f"{name} is there already")
                bindings[name] = copy.deepcopy(change) | {"layer": layer}
            elif operation["op"] == "remove":
                del bindings[name]
            else:
                binding = bindings[name]
                merge(binding.setdefault("settings", {}), change.get("settings", {}))
                merge(binding, {key: value for key, value in change.items() if key == "guard"})
                binding["layer"] = layer


def edit(machine, kind, name, op, value, layer):
    if op == "add":
        put(machine, kind, name, value, layer)
    elif op == "remove":
        del machine[kind][name]
    else:
        merge(machine[kind][name], value)
        machine[kind][name]["layer"] = layer


def merge(held, change):
    """Fields that are given replace those that are there; null takes one out."""
    for name, value in change.items():
        if value is None:
            held.pop(name, None)
        else:
            held[name] = value
