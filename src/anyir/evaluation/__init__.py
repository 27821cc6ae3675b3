"""Evaluation: metrics, test sets, the protocol, results files and their tables.

Needs scikit-image (``pip install 'anyir[train]'``), not PyTorch. Pictures are restored through
:class:`anyir.inference.Restorer`, as everywhere else. Import from the modules:

- ``metrics``: PSNR and SSIM of one image.
- ``sets``: the table of test sets and suites, and finding their pictures in a folder.
- ``protocol``: crop, noise, and the scoring of a set; every convention has a name here.
- ``results``: what an evaluation found, as typed data and as JSON.
- ``report``: results as Markdown.
- ``gain_figure``, ``size_figure``, ``panels_figure``: results as figures (these need matplotlib too); ``panels``:
  which pictures the last shows, and which parts of them.
"""
