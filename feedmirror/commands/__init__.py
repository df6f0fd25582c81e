"""The commands of `python -m feedmirror`, a module each.

A command's module has `add_to(commands)`, which declares its arguments and sets `run`, a function from the parsed
arguments to the exit status. `feedmirror.__main__` lists the modules.
"""
