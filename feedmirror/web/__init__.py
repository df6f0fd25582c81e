"""What Feedmirror shows: the page, the stream behind it, and how the sources fare.

    server         CherryPy's own server, around the application
    └── prompt     what its listening thread answers by itself
    processes      granian, around the same in several processes
    ├── assembled  the application, its follower and its watch, put together from the settings
    └── announcement   where the page is, once it is there
    app            the tree of addresses; what CherryPy is, only this and the server know
    ├── direct     the stream past all that: GET /update, in front of the tree
    │   └── update     what is answered, from the window or from the database
    │       └── gzipped    answers put together of parts that are compressed already
    ├── window_standing   how the window and polling stand: GET /api/window
    ├── health     whether the process is alive and can serve: GET /healthz, GET /readyz
    ├── sources    how each source fares, in words and as JSON: GET /api/sources
    ├── groups     how each politeness group stands, likewise: GET /api/groups
    ├── pages      for people: GET /, /sources, /series ..., and what an error looks like
    │   ├── sources_page   what /sources shows, and what narrows it
    │   └── series_page    what /series shows, and the page of one
    ├── series_chart   the chart of a series: GET /series/<id>/chart.svg
    │   └── chart      lines as an SVG picture
    ├── table_export   a table as a file: GET /tables/<source>.xlsx, .csv and .jsonl
    │   └── export     the formats, each from rows to bytes
    └── assets     scripts, styles and the icon, as they were when the process began
    follower       a thread that keeps a window at the end of the stream
    └── window     the newest part of the stream, in memory
    watch          a thread that asks whether due sources are polled
    └── polling    when that is an alarm, and its words
    query          what a request asks for, checked
    answer         what goes back: status, headers, body
    representation, stamps, places, times, counts, excerpt   items, cursors, times, counts and summaries as text
    links          which addresses a page may use
    unavailable    MongoDB is away: what is said, and what is only logged
    headers        what every answer carries, whoever made it

Storage is handed in. Nothing here polls, fetches or parses, and nothing here writes.
"""
