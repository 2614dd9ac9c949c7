"""Serves the web pages: the live monitor beside training, the viewer of trained runs, and its reports.

monitor/          training -> files -> pages; training waits for neither
viewer/           a run or weight file -> one episode of it, as JSON -> pages
report/           the viewer's page without a server, as one file or a folder
moments           one episode over training, kept by the monitor, shown by both servers
packing, pages    arrays inside JSON, and HTML from its parts
server            checks of requests, and how both servers listen
static/           the pages; plain JavaScript, as it is
"""
