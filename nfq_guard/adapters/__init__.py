"""The outside world behind small interfaces: sockets, files, kernel, processes.

Owns every system call that is not the daemon's own. Must never hold policy logic.
"""
