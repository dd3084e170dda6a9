"""Partition hosts: processes that run operations for clients, over ZeroMQ."""
