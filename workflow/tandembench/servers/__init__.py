"""servers: starts model servers or attaches to them, and says who they are.

Nothing outside this room starts a process.
"""
