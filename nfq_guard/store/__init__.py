"""The rule files as a store of resources: what is in them, and how a change looks in their text.

Owns reading single resources out of files, tables and YAML for people, patches, and
edits of a file's text that leave all else as it is. Must never read or write a file:
adapters/storefiles.py does.
"""
