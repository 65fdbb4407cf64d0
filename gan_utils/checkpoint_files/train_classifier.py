"""Re-makes classifier.safetensors and real_statistics.safetensors beside this program: about 3 minutes on 2 cores.

    python gan_utils/checkpoint_files/train_classifier.py

Trained on the 60,000 training images, shifted, turned and scaled a little; judged once, at the end, on the test images.
"""

import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import gan_utils as gu

HERE = Path(__file__).parent
EPOCHS, BATCH = 16, 128


def jitter(x: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Each image turned by up to 12 degrees, scaled by up to 10 % and shifted by up to 2 pixels."""
    u = torch.rand(len(x), 4, generator=g) * 2 - 1
    angle, scale = u[:, 0] * math.radians(12), 1 + 0.1 * u[:, 1]
    cos, sin, shift = scale * angle.cos(), scale * angle.sin(), u[:, 2:] * 2 / 14
    theta = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x + 1, grid, align_corners=False) - 1  # zeros outside are black


def main() -> None:
    g = gu.seeded(0)
    torch.manual_seed(0)  # for dropout, which draws from the global stream
    x, y = gu.load_mnist("train")
    classifier = gu.DigitClassifier(generator=g)
    steps = EPOCHS * (len(x) // BATCH)
    opt = torch.optim.AdamW(classifier.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=3e-3, total_steps=steps)
    start = time.time()
    for step, (images, labels) in zip(range(steps), gu.batches(x, BATCH, generator=g, labels=y), strict=False):
        loss = F.cross_entropy(classifier(jitter(images, g)), labels, label_smoothing=0.05)
        opt.zero_grad()
        loss.backward()
        opt.step()
        schedule.step()
        if step % 468 == 467:
            print(f"epoch {step // 468 + 1:2d}  loss {float(loss):.3f}  {time.time() - start:.0f} s", flush=True)
    x_test, y_test = gu.load_mnist("test")
    with gu.evaluating(classifier):
        accuracy = (classifier(x_test).argmax(1) == y_test).float().mean().item()
        features = torch.cat([classifier.features(chunk) for chunk in x.split(1000)])
    print(f"test accuracy {accuracy:.4f}")
    gu.save_tensors(HERE / "classifier.safetensors", classifier.state_dict(), {"test_accuracy": accuracy})
    mean, covariance = gu.mean_and_covariance(features)
    gu.save_tensors(HERE / "real_statistics.safetensors", {"mean": mean, "covariance": covariance}, {"n": len(x)})


if __name__ == "__main__":
    main()
