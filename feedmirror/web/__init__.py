"""What Feedmirror shows: the page, the stream behind it, and how the sources fare.

    server         CherryPy's own server, around the application
    app            the tree of addresses; what CherryPy is, only these two know
    ├── update     the stream: GET /update
    ├── sources    how each source fares, in words and as JSON: GET /api/sources
    ├── groups     how each politeness group stands, likewise: GET /api/groups
    ├── pages      for people: GET / and GET /sources, and what an error looks like
    │   └── sources_page   what /sources shows, and what narrows it
    └── assets     scripts, styles and the icon, as they were when the process began
    query          what a request asks for, checked
    answer         what goes back: status, headers, body
    representation, stamps, places, times, counts, excerpt   items, cursors, times, counts and summaries as text
    links          which addresses a page may use
    unavailable    MongoDB is away: what is said, and what is only logged
    headers        what every answer carries, whoever made it

Storage is handed in. Nothing here polls, fetches or parses, and nothing here writes.
"""
