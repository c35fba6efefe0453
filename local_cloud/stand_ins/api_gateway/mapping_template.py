"""API Gateway's mapping templates: airspeed renders the Velocity, here are API Gateway's variables over it.

A name that AWS does not know renders as nothing there; here the template is refused, when it is deployed.
"""

import base64
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache, partial
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import airspeed
from airspeed import operators as vtl

Params = dict[str, Mapping[str, str]]  # by their place: path, querystring, header
Including = vtl.IncludeDirective | vtl.ParseDirective
STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]|\[(?:'([^']*)'|\"([^\"]*)\")\]")
KNOWN = re.compile(
    r"\$!?\{?(input\.(body\b|(path|json|params)\()"
    r"|util\.(base64Encode|base64Decode|escapeJavaScript|parseJson|urlEncode|urlDecode)\("
    r"|context\.(apiId|httpMethod|requestId|resourcePath|stage|identity\.sourceIp|identity\.userAgent)\b)"
)


class TemplateError(Exception):
    """The template asks for what it should not, or for what this stand-in does not do."""


class BodyError(Exception):
    """The template reads the body as JSON, and it is none."""


class Input:
    """`$input`: the body, read as JSON only when the template asks for it, and the parameters."""

    def __init__(self, body: str, params: Params) -> None:
        self.body, self.all_params = body or "{}", params

    @cached_property
    def document(self) -> Any:
        """The body as JSON."""
        return parse_json(self.body)

    def path(self, path: str) -> Any:
        """What a JSONPath leads to; an empty text when there is nothing."""
        found = self.document
        for step in steps(path):
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return ""
        return found

    def json(self, path: str) -> str:
        """The same as JSON text."""
        return json.dumps(self.path(path), ensure_ascii=False, separators=(",", ":"))

    def params(self, name: str | None = None) -> Any:
        """One parameter, from path, query or header, in this order; or all of them by their place."""
        if name is None:
            return self.all_params
        return next((found[name] for found in self.all_params.values() if name in found), "")


class Util:
    """`$util`."""


@lru_cache(maxsize=4096)
def steps(path: str) -> tuple[str | int, ...]:
    """Names and numbers of a JSONPath; TemplateError for wildcards, filters and the like."""
    rest = path[1:] if path.startswith("$") else f".{path}"
    if STEP.sub("", rest):
        raise TemplateError(f"the JSONPath {path} (the local gateway does names and numbers)")
    return tuple(int(one[1]) if one[1] else one[0] or one[2] or one[3] for one in STEP.findall(rest))


def parse_json(text: Any) -> Any:
    """The value of a JSON text; BodyError when it is none."""
    try:
        return json.loads(text, parse_constant=int)  # int() refuses NaN and Infinity
    except (ValueError, TypeError, RecursionError) as error:
        raise BodyError(str(error)) from None


def java_text(value: Any) -> str:
    """A value as it stands in rendered text: an object as Java prints a Map, `{a=1}`, which is not JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        inside = ((name, "null" if one is None else java_text(one)) for name, one in value.items())
        return "{" + ", ".join(f"{name}={text}" for name, text in inside) + "}"
    if isinstance(value, bool | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "" if value is None else str(value)


METHODS: dict[Any, dict[str, Callable[..., Any]]] = {
    Input: {"path": Input.path, "json": Input.json, "params": Input.params},
    Util: {
        "base64Encode": lambda _, value: base64.b64encode(java_text(value).encode(errors="replace")).decode(),
        "base64Decode": lambda _, value: base64.b64decode(java_text(value), validate=True).decode(),
        # Apostrophes too, as on AWS, though JSON does not know \'.
        "escapeJavaScript": lambda _, value: json.dumps(java_text(value))[1:-1].replace("'", r"\'"),
        "parseJson": lambda _, value: parse_json(value),
        "urlEncode": lambda _, value: quote_plus(java_text(value), safe="*").replace("~", "%7E"),
        "urlDecode": lambda _, value: unquote_plus(java_text(value)),
    },
    str: {
        "length": len,
        "contains": operator.contains,
        "startsWith": str.startswith,
        "replaceAll": lambda text, pattern, by: re.sub(pattern, by, text),
    },
    list: {"size": len, "get": operator.getitem, "contains": operator.contains},
    Mapping: {"size": len, "keySet": list, "get": lambda found, name: found.get(name)},
}


def render(text: str, body: str, params: Params, context: dict[str, Any]) -> str:
    """The rendered template; TemplateError or BodyError says why there is none."""
    try:
        return str(compiled(text).merge({"input": Input(body, params), "util": Util(), "context": context}))
    except vtl.TemplateError as error:
        cause = error.__cause__
        if isinstance(cause, TemplateError | BodyError):
            raise cause from None
        raise TemplateError(f"the mapping template fails: {cause or error}") from None


@lru_cache(maxsize=256)
def compiled(text: str) -> airspeed.Template:
    """A parsed template whose references follow Java's rules instead of Python's; TemplateError."""
    template = airspeed.Template(text)
    try:
        template.ensure_compiled()
    except vtl.TemplateError as error:
        raise TemplateError(f"the mapping template: {error}") from None
    nodes = list(_nodes(template.root_element))
    own = {"foreach", "velocityCount"} | {
        node.root_term for node in nodes if isinstance(node, vtl.Assignment)
    }
    own |= {node.loop_var_name for node in nodes if isinstance(node, vtl.ForeachDirective)}
    for node in nodes:
        if isinstance(node, vtl._FunctionDefinition | vtl.MacroCall | vtl.EvaluateDirective | Including):
            raise TemplateError(f"the directive {node.my_text().partition('(')[0]}")
        if isinstance(node, vtl.FormalReference) and node.expression:
            if node.expression.part.name not in own and not KNOWN.match(node.my_text()):
                raise TemplateError(f"the variable {node.my_text()}")
            node.evaluate = partial(_write, node)
        elif isinstance(node, vtl.NameOrCall):
            node.calculate = partial(_look_up, node)
        elif isinstance(node, vtl.ForeachDirective):
            node.value.calculate = partial(_elements, node.value.expression)
    return template


def _nodes(node: Any) -> Iterator[Any]:
    """A parsed element and all inside it; airspeed keeps some only as the owner of a bound method."""
    if isinstance(node, dict):
        node = [*node.keys(), *node.values()]
    if isinstance(node, list | tuple):
        for one in node:
            yield from _nodes(one)
    elif isinstance(node, vtl._Element):
        yield node
        for name, one in vars(node).items():
            yield from _nodes(getattr(one, "__self__", None) if name == "calculate" else one)


def _look_up(node: Any, holder: Any, loader: Any, namespace: Any) -> Any:
    """What `name`, `name(...)` or `name[...]` stands for in a value; None when there is nothing."""
    if node.parameters is not None and holder is not None:
        methods = next((found for kind, found in METHODS.items() if isinstance(holder, kind)), {})
        if node.name not in methods:
            raise TemplateError(f"the method {node.name}() of {java_text(holder)[:40]!r}")
        return methods[node.name](holder, *node.parameters.calculate(namespace, loader))
    try:
        value = holder.body if isinstance(holder, Input) else holder[node.name]
        return value if node.index is None else value[node.index.calculate(namespace, loader)]
    except (KeyError, IndexError, TypeError):
        return None


def _write(node: Any, stream: Any, namespace: Any, loader: Any) -> None:
    value = node.calculate(namespace, loader)
    if value is None and node.alternate is not None:
        value = node.alternate.calculate(namespace, loader)
    stream.write(java_text(value))


def _elements(expression: Any, namespace: Any, loader: Any) -> Any:
    """What #foreach goes through: a list's elements, an object's values; a text has none."""
    value = expression.calculate(namespace, loader)
    return (
        list(value.values())
        if isinstance(value, Mapping)
        else value
        if isinstance(value, list | range)
        else []
    )
