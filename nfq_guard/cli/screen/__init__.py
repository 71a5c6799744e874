"""The full-screen view of `nfq-guard top`.

`board` knows the figures, `feed` gets them from the guard, `draw` puts them into lines,
`app` puts the lines on the screen and hears keys.
"""
