"""Links that plain Markdown cannot carry to every host: made while the book is built.

- The first mention of each glossary term on a page leads to the glossary.
- `gu.d_step` in the text, and its first mention in a page's code, leads to its entry on the package's
  page, whose *[source]* opens the function.
"""

import re

from docutils import nodes
from sphinx import addnodes

# Words that the chapters also use in their everyday sense, or in that of probability: a link would mislead.
EVERYDAY = {"density", "fake", "feature", "floor", "freezing", "judge", "law", "mode", "prior", "rank", "real", "seed",
            "step"}
PLAIN = (nodes.reference, nodes.title, nodes.literal, nodes.raw, nodes.table, addnodes.desc)
CODE = re.compile(r'(?<=<span class="n">)(\w+)'
                  r'(</span><span class="o">\.</span><span class="n[a-z]*">)(\w+)')


def link(text, address, kind):
    return nodes.reference("", "", *text, internal=True, refuri=address, classes=[kind])


# ------------------------------------------------------------------ glossary

def glossary(env):
    """{term: (its page, its anchor)}."""
    return {name: (page, anchor) for name, _, kind, page, anchor, _ in env.get_domain("std").get_objects()
            if kind == "term" and name not in EVERYDAY}


def pattern(term):
    """The term as a word of a sentence: plural or not, at its beginning or not, with either apostrophe."""
    first, rest = term[0], re.escape(term[1:]).replace("'", "[’']")
    return rf"[{first}{first.upper()}]{rest}(?:es|s)?"


def link_terms(doctree, terms, address):
    """Link the first mention of each term; `address(term)` says where to."""
    left = {term: re.compile(rf"(?<![\w-]){pattern(term)}\b") for term in sorted(terms, key=len, reverse=True)}
    for text in list(doctree.findall(nodes.Text)):
        parents = list(ancestors(text))
        if not any(isinstance(p, nodes.paragraph) for p in parents) or any(isinstance(p, PLAIN) for p in parents):
            continue
        if any("references" in p.get("ids", ()) for p in parents):
            continue
        text.parent.replace(text, pieces(str(text), left, address))


def pieces(text, left, address):
    """`text` as nodes, with links in it; what was linked is taken from `left`. Longer terms come first."""
    for term, expression in left.items():
        if match := expression.search(text):
            del left[term]
            middle = link([nodes.Text(match[0])], address(term), "book-term")
            return [*pieces(text[:match.start()], left, address), middle, *pieces(text[match.end():], left, address)]
    return [nodes.Text(text)] if text else []


def ancestors(node):
    while node.parent is not None:
        node = node.parent
        yield node


# ------------------------------------------------------------------ the package

def package(env):
    """{"d_step": ("gan_utils.training.d_step", page)}; what gan_utils does not offer itself goes by its module's name:
    "widgets.Scrubber"."""
    import gan_utils  # autodoc has imported it already

    found = {}
    for full, thing in env.get_domain("py").objects.items():
        top, _, rest = full.partition(".")
        module, _, name = rest.partition(".")
        if top == "gan_utils" and name:
            offered = getattr(gan_utils, name.partition(".")[0], None)
            here = getattr(offered, "__module__", None) == f"gan_utils.{module}"
            found[name if here else rest] = (full, thing.docname)
    return found


def known(code, names):
    """The entry that inline code speaks of, if it does: gu.fit, gan_utils.fit(...), d_step, GanLoss; not a bare fit."""
    match = re.fullmatch(r"((?:gu|gan_utils)\.)?(\w+(?:\.\w+)*)(\(.*\))?", code)
    if not match:
        return None
    prefix, name, call = match.groups()
    rest = name.partition(".")[2]
    if rest in names and names[rest][0] == f"gan_utils.{name}":  # training.d_step
        return names[rest]
    return names.get(name) if prefix or call or re.search(r"[a-z]_[a-z]|^[A-Z][a-z]+[A-Z]", name) else None


def link_inline_code(doctree, names, address):
    for literal in list(doctree.findall(nodes.literal)):
        entry = known(literal.astext(), names)
        if entry and not any(isinstance(p, (nodes.reference, nodes.title, addnodes.desc)) for p in ancestors(literal)):
            literal.replace_self(link([literal.deepcopy()], address(entry), "book-code"))


def link_cells(body, names, address):
    """In highlighted code: the first mention of each name on the page."""
    seen = set()

    def replace(match):
        prefix, between, name = match.groups()
        short = name if prefix == "gu" else f"{prefix}.{name}"
        if short not in names or short in seen:
            return match[0]
        seen.add(short)
        return f'{prefix}{between}<a class="book-code" href="{address(names[short])}">{name}</a>'

    return CODE.sub(replace, body)


# ------------------------------------------------------------------ Sphinx

def resolved(app, doctree, page):
    if app.builder.format != "html":
        return

    def address(target):
        return f"{app.builder.get_relative_uri(page, target[0])}#{target[1]}"

    names = package(app.env)
    link_inline_code(doctree, names, lambda entry: address(entry[::-1]))
    if page.startswith("notebooks/") or page == "book/laboratory":
        terms = glossary(app.env)
        link_terms(doctree, terms, lambda term: address(terms[term]))


def context(app, page, template, context, doctree):
    if page.startswith("notebooks/"):
        names = package(app.env)
        context["body"] = link_cells(
            context["body"], names, lambda entry: f"{app.builder.get_relative_uri(page, entry[1])}#{entry[0]}")


def setup(app):
    app.connect("doctree-resolved", resolved)
    app.connect("html-page-context", context)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
