import torch

from cifarlab.models.resnet import BasicBlock


def test_a_block_of_zeros_passes_its_input_on() -> None:
    """The second batch norm at zero: what is left is the identity, then ReLU."""
    block = BasicBlock(4, 4, stride=1).eval()
    torch.nn.init.zeros_(block.bn2.weight)
    images = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(images), images.relu())


def test_a_block_that_changes_shape_projects_its_input() -> None:
    block = BasicBlock(4, 8, stride=2)
    assert block(torch.randn(2, 4, 6, 6)).shape == (2, 8, 3, 3)
    assert block.shortcut.conv.kernel_size == (1, 1)
