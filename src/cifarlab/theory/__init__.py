"""Integer arithmetic of convolutional networks, without torch: sizes, receptive fields, parameters,
convolution by hand. Only ``sheet`` and ``dispatch``, which look into a real net, import torch."""
