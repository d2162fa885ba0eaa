"""Small models whose attention is what needs their memory, for tests of fitting."""

from torch import nn

OPTIONS = {"kappa": 0.5, "upsilon": 0.25, "heads": 4, "min_key_depth_per_head": 1}
INPUT_SIZE = (3, 20, 20)
LAYERS = ["first.conv", "second.conv", "third.conv"]


class Block(nn.Module):
    """A convolution, batch norm and ReLU."""

    def __init__(self, fan_in, fan_out, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(fan_out)

    def forward(self, x):
        return self.norm(self.conv(x)).relu()


class Small(nn.Module):
    """Three blocks, of which the first two see 20x20 pixels and the last 10x10."""

    def __init__(self, classes=5):
        super().__init__()
        self.first = Block(3, 16)
        self.second = Block(16, 16)
        self.third = Block(16, 32, stride=2)
        self.classifier = nn.Linear(32, classes)

    def forward(self, x):
        x = self.third(self.second(self.first(x)))
        return self.classifier(x.mean(dim=(2, 3)))
