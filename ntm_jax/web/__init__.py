"""Serves the web pages: the live monitor beside training, the viewer of trained runs, and its report.

monitor, monitor_server, monitor_worker      training -> files -> pages; training waits for neither
moments, moments_page                        one episode over training, kept by the monitor, shown by both
sources -> episodes -> packing               a run or weight file, one episode of it, as JSON
viewer, report                               that JSON behind a server, or inside one file
server, questions                            checks of requests, and how both servers listen
static/                                      the pages; plain JavaScript, as it is
"""
