"""Re-makes letter_guide.safetensors and letter_judge.safetensors here: about 2 minutes each on one free core.

    python gan_utils/checkpoint_files/train_letter_classifiers.py [guide | judge]

Two networks of different build and seed, so that a generator steered by one can be scored by the other. Trained on the
letters of the training fonts, jittered half as much again as `load_letters` does, every other one also bent, thickened
or thinned, with noise; judged once, at the end, on 20,800 letters of the held-out fonts and of the training fonts.
"""

import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import gan_utils as gu

HERE = Path(__file__).parent
SEEDS = {"guide": 1, "judge": 2}
EPOCHS, SIZE, BATCH = 14, 20_800, 100


def disturb(x: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Each image bent by a smooth field of about a pixel, so that it stands for fonts that are not there; then a gamma
    between 0.6 and 1.7, which thickens or thins its edges, and noise up to 0.2.
    """
    field = F.interpolate(torch.randn(len(x), 2, 4, 4, generator=g) / 16, size=(28, 28), mode="bicubic")
    still = F.affine_grid(torch.eye(2, 3).expand(len(x), 2, 3), list(x.shape), align_corners=False)
    x = F.grid_sample(x + 1, still + field.permute(0, 2, 3, 1), align_corners=False) - 1  # no ink outside
    u = torch.rand(len(x), 2, 1, 1, 1, generator=g)
    ink = ((x + 1) / 2).pow(torch.exp((2 * u[:, 0] - 1) * 0.53))
    noise = torch.randn(x.shape, generator=g) * 0.2 * u[:, 1]
    return (2 * ink - 1 + noise).clamp(-1, 1)


def loss_of(logits: gu.LetterLogits, batch: gu.Letters) -> torch.Tensor:
    """Cross-entropy of the letter and, at half weight each, of the other three."""
    weights = {"letter": 1.0, "style": 0.5, "slant": 0.5, "weight": 0.5}
    return sum(
        w * F.cross_entropy(getattr(logits, name), getattr(batch, name), label_smoothing=0.05)
        for name, w in weights.items()
    )


def accuracy(classifier: torch.nn.Module, letters: gu.Letters) -> dict[str, float]:
    with gu.evaluating(classifier):
        parts = [classifier(chunk) for chunk in letters.images.split(100)]
    logits = gu.LetterLogits(*map(torch.cat, zip(*parts, strict=True)))
    right = {name: getattr(logits, name).argmax(1) == getattr(letters, name) for name in logits._fields}
    return {name: round(float(hit.float().mean()), 4) for name, hit in right.items()}


def train(kind: str) -> None:
    g = gu.seeded(SEEDS[kind])
    torch.manual_seed(SEEDS[kind])  # for dropout, which draws from the global stream
    classifier = gu.LetterClassifier(kind, generator=g).to(memory_format=torch.channels_last)
    opt = torch.optim.AdamW(classifier.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=3e-3, total_steps=EPOCHS * SIZE // BATCH)
    start = time.time()
    for epoch in range(EPOCHS):
        data = gu.load_letters(SIZE, jitter=1.5, generator=g)
        for index in torch.arange(SIZE).split(BATCH):
            batch = data[index]
            half = BATCH // 2  # the rest stays sharp: bending blurs, and a blurred light letter is like no real one
            x = torch.cat([disturb(batch.images[:half], g), batch.images[half:]])
            loss = loss_of(classifier(x), batch)
            opt.zero_grad()
            loss.backward()
            opt.step()
            schedule.step()
        print(f"{kind}: epoch {epoch + 1:2d}  loss {loss.item():.3f}  {time.time() - start:.0f} s", flush=True)
    stored = {name: t.half() for name, t in classifier.state_dict().items()}
    classifier.load_state_dict(stored)  # judged as it is stored
    held_out = accuracy(classifier, gu.load_letters(20_800, split="test", generator=gu.seeded(0)))
    trained_on = accuracy(classifier, gu.load_letters(20_800, split="train", generator=gu.seeded(0)))
    print(f"{kind}: held-out fonts {held_out}, training fonts {trained_on}")
    header = {"kind": kind, "held_out_accuracy": held_out, "training_accuracy": trained_on}
    gu.save_tensors(HERE / f"letter_{kind}.safetensors", stored, header)


if __name__ == "__main__":
    if not set(sys.argv[1:]) <= set(SEEDS):
        sys.exit(__doc__)
    for kind in sys.argv[1:] or SEEDS:
        train(kind)
