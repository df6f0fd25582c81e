"""Something to mirror without a network: a feed and a table, both invented, changing as you watch.

__main__    the command: serves both, and writes the sources file that names them
server      which address has what
feed        the questions of the last half hour, as Atom      <- questions   what is asked
market      coins whose prices walk, as JSON, page by page
"""
