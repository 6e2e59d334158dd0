"""The other side of a comparison: torchvision's `maskrcnn_resnet50_fpn`, in a process and with a Python of its own.

    python benchmarks/detection.py --backbone resnet50 --torchvision-python /env/bin/python

starts this file. Sampling and proposals are set as ours, so that both do the same work; the weights are random.
"""

import measure
import numpy as np
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.ops.misc import FrozenBatchNorm2d

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DTYPES = {"float32": torch.float32, "mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}


def make_model(size, num_classes, **settings):
    torch.manual_seed(0)
    model = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=num_classes, min_size=size, max_size=size, **settings
    )
    _freeze_norms(model.backbone)
    return model.to(DEVICE)


def _freeze_norms(module):
    """As in every model that begins with trained weights, of which none can be had here.

    The last norm of a block is small, else activations grow with every block, and all scores are 0 or 1.
    """
    for name, child in module.named_children():
        if isinstance(child, torch.nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features)
            frozen.weight.fill_(0.2 if name == "bn3" else 1.0)
            setattr(module, name, frozen)
        else:
            _freeze_norms(child)


def half(precision):
    """The context in which a model computes in this precision, as its users set it."""
    return torch.autocast(DEVICE.type, DTYPES[precision], enabled=precision != "float32")


def waited(value):
    """The value, once a GPU has computed it."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return value


def detection(size, num_classes, image, detections, precision):
    """A function that detects in one image, masks pasted to full size; it returns the number of detections."""
    model = make_model(
        *(size, num_classes), box_score_thresh=0.0, box_nms_thresh=0.3, box_detections_per_img=detections
    ).eval()
    image = np.load(image)

    def detect():
        with torch.inference_mode(), half(precision):
            pixels = torch.from_numpy(image).to(DEVICE).permute(2, 0, 1).float() / 255
            found = model([pixels])[0]
        masks = (found["masks"][:, 0] > 0.5).cpu().numpy()
        return {"detections": len(masks), "score": float(found["scores"].min())}

    # Random weights give every box of every class the same low score; a threshold leaves as many as a picture has.
    model.roi_heads.score_thresh = detect()["score"] * 0.999
    return detect


def training_step(size, num_classes, batch, layers, precision):
    """A function that runs a step of SGD on one batch, with masks of full size; it returns the losses before it."""
    model = make_model(
        *(size, num_classes),
        rpn_pre_nms_top_n_train=6000,
        box_batch_size_per_image=200,
        box_positive_fraction=0.33,
    ).train()
    model.backbone.body.requires_grad_(layers == "all")
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.001, 0.9)
    given = np.load(batch)
    images, targets = [], []
    for pixels, boxes, class_ids in zip(given["input_image"], given["input_gt_boxes"], given["input_gt_class_ids"]):
        real = boxes.any(axis=1)
        masks = np.zeros((real.sum(), *pixels.shape[:2]), np.uint8)
        for mask, (y1, x1, y2, x2) in zip(masks, boxes[real].astype(int)):
            mask[y1:y2, x1:x2] = 1
        targets.append((boxes[real][:, [1, 0, 3, 2]], class_ids[real].astype(np.int64), masks))
        images.append(pixels.transpose(2, 0, 1) / 255)

    def step():
        on_device = [torch.from_numpy(image).to(DEVICE) for image in images]
        truth = [
            dict(zip(("boxes", "labels", "masks"), (torch.from_numpy(part).to(DEVICE) for part in target)))
            for target in targets
        ]
        with half(precision):
            losses = model(on_device, truth)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        return {name: value.item() for name, value in waited(losses).items()}

    return step


TASKS = {"detection": detection, "training_step": training_step}


def main():
    args = measure.task_parser(TASKS, __doc__).parse_args()
    measure.answer(TASKS[args.task], args.arguments)


if __name__ == "__main__":
    main()
