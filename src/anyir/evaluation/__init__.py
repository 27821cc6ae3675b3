"""Evaluation: metrics, test sets, the protocol, results files and their tables.

Needs scikit-image (``pip install 'anyir[train]'``), not PyTorch. Pictures are restored through
:class:`anyir.inference.Restorer`, as everywhere else. Import from the modules:

- ``metrics``: PSNR and SSIM of one image.
- ``sets``: the table of test sets and suites, and finding their pictures in a folder.
- ``protocol``: crop, noise, and the scoring of a set; every convention has a name here.
- ``results``: what an evaluation found, as typed data and as JSON.
- ``report``: results as Markdown.
- ``run``, ``journal``: one run over several sets, and how an interrupted one goes on.
- ``variants``: the same pictures under other conventions. ``tile_study``: the same pictures in tiles.
- ``published``: the published numbers.
- ``tables``: a table of methods as Markdown, CSV and JSON.
- ``comparison``, ``cost``: such tables of results beside the published ones, of quality and of size, memory and time.
- ``models``, ``peak_memory``: what those tables say of a model, and the measuring of its memory.
- ``benchmark``, ``benchmark_report``, ``benchmark_figure``: speed and memory of several ways to run a network, measured
  in processes of their own (``benchmark_worker``); ``machine``: what they ran on. These need neither of the two.
- ``guard_study``: what the guard against harm does.
- ``stats_figure``: the training samples of a recipe as a figure.
- ``gain_figure``, ``size_figure``, ``panels_figure``: results as figures (these need matplotlib too); ``panels``:
  which pictures the last shows, and which parts of them.
"""
