"""The web page: a text in, its entities and relations out, shown as text, graph and tables.

`spert demo` serves it from this machine, and `spert push --space` uploads these very files to a Space, where they stand
without the rest of the package: they import gradio, transformers, the standard library and each other.
"""
