"""Guards, evaluated from their trees: what they mean, written down a second time.

A guard blocks when an input that matters is missing, of another type or out of range; what matters is what is left of the
guard once its settings are filled in. Otherwise it blocks when it does not hold.
"""

import operator

MAX_INTEGER = 2**53 - 1
MAX_STRING_BYTES = 65_536
MAX_ITEMS = 1_024

COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def variable(name):
    return {"variable": name}


def unless_required(condition):
    return {"any": [{"not": variable("required")}, condition]}


REQUIRED = {"required": {"type": "bool", "default": True}}

# The guards that every engine brings along, as the documentation has them.
BUILT_IN = {
    "requires_invoice": {
        "inputs": {"invoice_issued": "bool"},
        "settings": REQUIRED,
        "tree": unless_required(variable("invoice_issued")),
    },
    "requires_pod": {
        "inputs": {"pod_captured": "bool"},
        "settings": REQUIRED,
        "tree": unless_required(variable("pod_captured")),
    },
    "requires_scan_ok": {
        "inputs": {"items_total": "integer", "items_scanned": "integer", "scan_errors": "integer"},
        "settings": REQUIRED,
        "tree": unless_required(
            {
                "all": [
                    {"compare": ["==", variable("items_scanned"), variable("items_total")]},
                    {"compare": ["==", variable("scan_errors"), {"constant": 0}]},
                ]
            }
        ),
    },
}


def constant(value):
    return {"constant": value}


def is_constant(tree, *values):
    return "constant" in tree and (not values or any(tree["constant"] is value for value in values))


def key(value):
    """Strings are compared by their bytes."""
    return value.encode() if isinstance(value, str) else value


def simplify(tree, settings, names=None):
    """The tree with settings filled in, and what follows from constants alone. `names` are those of all settings, where
    they are not filled in."""
    names = settings.keys() if names is None else names
    ((form, parts),) = tree.items()
    if form == "constant":
        return tree
    if form == "variable":
        return constant(settings[parts]) if parts in settings else tree
    if form == "not":
        return negate(simplify(parts, settings, names))
    if form in ("all", "any"):
        return together(form, [(simplify(part, settings, names), decides(part, settings, names)) for part in flat(form, parts)])
    if form == "compare":
        sign, left, right = parts
        if "variable" in left and left == right and left["variable"] in names:
            return constant(sign in ("==", "<=", ">="))
        return compare(sign, simplify(left, settings, names), simplify(right, settings, names))
    if form == "in":
        item, items = (simplify(part, settings, names) for part in parts)
        if is_constant(items) and not items["constant"] and not is_constant(parts[1]):
            return constant(False)
        if is_constant(item) and is_constant(items):
            return constant(item["constant"] in items["constant"])
        return {"in": [item, items]}
    raise ValueError(f"no form of a guard: {form}")


def negate(tree):
    return constant(not tree["constant"]) if is_constant(tree) else {"not": tree}


def flat(form, parts):
    """Conditions in parentheses of the same kind are conditions beside the others."""
    return [inner for part in parts for inner in (flat(form, part[form]) if form in part else [part])]


def decides(tree, settings, names):
    """Only a setting, or true or false that is written out, says that the inputs beside it do not matter."""
    return is_constant(tree) or settings != {} and not is_constant(simplify(tree, {}, names))


def together(form, parts):
    neutral = form == "all"
    if any(is_constant(part, not neutral) and decided for part, decided in parts):
        return constant(not neutral)
    left = [part for part, _ in parts if not is_constant(part, neutral)]
    if constant(not neutral) in left and not any(mentioned(part) for part in left):
        return constant(not neutral)
    if not left:
        return constant(neutral)
    return left[0] if len(left) == 1 else {form: left}


def compare(sign, left, right):
    if is_constant(left) and is_constant(right):
        return constant(COMPARISONS[sign](key(left["constant"]), key(right["constant"])))
    return {"compare": [sign, left, right]}


def mentioned(tree):
    ((form, parts),) = tree.items()
    if form == "constant":
        return set()
    if form == "variable":
        return {parts}
    if form == "not":
        return mentioned(parts)
    return set().union(*(mentioned(part) for part in parts if isinstance(part, dict)))


def evaluate(tree, inputs):
    ((form, parts),) = tree.items()
    if form == "constant":
        return parts
    if form == "variable":
        return inputs[parts]
    if form == "not":
        return not evaluate(parts, inputs)
    if form == "all":
        return all(evaluate(part, inputs) for part in parts)
    if form == "any":
        return any(evaluate(part, inputs) for part in parts)
    if form == "compare":
        sign, left, right = parts
        return COMPARISONS[sign](key(evaluate(left, inputs)), key(evaluate(right, inputs)))
    item, items = parts
    return evaluate(item, inputs) in evaluate(items, inputs)


def unfit(value, declared):
    """Why a value cannot stand for an input of a type; None where it can."""
    is_list = isinstance(value, list) and all(isinstance(item, str) for item in value)
    right = {"bool": type(value) is bool, "integer": type(value) is int, "string": type(value) is str, "strings": is_list}
    if not right[declared]:
        return "input_mistyped"
    if declared == "integer" and abs(value) > MAX_INTEGER:
        return "input_out_of_range"
    texts = [value] if declared == "string" else value if declared == "strings" else []
    if len(texts) > MAX_ITEMS or any(len(text.encode()) > MAX_STRING_BYTES for text in texts):
        return "input_out_of_range"
    return None


class Guard:
    """A guard with its settings filled in."""

    def __init__(self, definition, settings):
        defaults = {name: setting["default"] for name, setting in definition.get("settings", {}).items()}
        self.tree = simplify(definition["tree"], defaults | settings)
        self.inputs = {name: definition["inputs"][name] for name in sorted(mentioned(self.tree))}

    def faults(self, inputs):
        """The codes of all that makes it block."""
        wrong = {
            "input_missing" if name not in inputs else unfit(inputs[name], declared)
            for name, declared in self.inputs.items()
        } - {None}
        if wrong:
            return wrong
        return set() if evaluate(self.tree, inputs) else {"guard_failed"}
