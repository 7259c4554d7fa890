"""One architecture family a file. A model is an ``nn.Module`` built as
``Model(num_classes=..., image_size=..., dropout=..., **its own options)``; see docs/add_a_model.md.
"""
