"""The interactive page: watch scanpaths, look for yourself, and see what a saccade rests on.

Gradio draws it (extra ``app``). :mod:`.studio` knows what can be asked, :mod:`.trial` what a person
does, :mod:`.fixation_file` where that is written; ``watch``, ``play`` and ``explain`` are the three
tabs, :mod:`.page` puts them together and :mod:`.serve` opens them to a browser. Pictures travel as
data inside messages: no file of a visitor's is written, and no path from a browser is opened.
"""
