"""Every setting of a run, with its unit, what it trades, and when to change it.

Write a subclass and give new values to the settings that differ for your data:

    class NucleusConfig(Config):
        NAME = "nucleus"
        NUM_CLASSES = 1 + 1  # background and nucleus
        IMAGE_MIN_DIM = IMAGE_MAX_DIM = 512

    config = NucleusConfig()
    config.display()

Values are read from the instance, so `config.IMAGES_PER_GPU = 1` works as well. Unless a comment says otherwise, the
defaults are those of Matterport's Mask R-CNN. "Molded" is the image after resizing and padding, as the network sees it.
"""

import numpy as np

from mrcnn_plus.config_base import ConfigBase


class Config(ConfigBase):
    """The settings and their defaults; subclass it and override what differs.

    Computed from the others, and not to be overridden: `BATCH_SIZE`, `IMAGE_SHAPE`, `IMAGE_META_SIZE`.
    """

    # ---- The run ----------------------------------------------------------------------------------------------------

    # Short name of the experiment; log folders and checkpoints are called after it. Letters, digits, "_" and "-".
    NAME = None

    # Seed of every random choice: order of the images, augmentation, sampling, initial weights. None draws a new one
    # for each run. Set it to compare two runs that differ in one setting.
    SEED = None

    # ---- Devices and speed ------------------------------------------------------------------------------------------

    # Devices that share the steps of training, IMAGES_PER_GPU images each; a step then has the result of one device
    # with the same BATCH_SIZE = IMAGES_PER_GPU x GPU_COUNT. TensorFlow and JAX; with several hosts (JAX) the devices of
    # all of them. Where there are fewer, those that are there compute all images. Detection takes one device, and
    # batches of BATCH_SIZE.
    GPU_COUNT = 1

    # Images per device and step. More give steadier gradients and need more memory: about two images of 1024 x 1024
    # fit in 12 GB. Scale LEARNING_RATE along with it.
    IMAGES_PER_GPU = 2

    # "float32", or "mixed_bfloat16" / "mixed_float16", which halve the memory of feature maps and are much faster on
    # hardware made for them. Boxes are computed in float32 in any case. Prefer bfloat16: float16 can overflow.
    PRECISION = "float32"

    # Compile the network with XLA: True, False, or None to let the backend decide. The first step or detection then
    # takes tens of seconds longer, every later one less.
    JIT_COMPILE = None

    # What computes the convolutions of `detect`: "keras", or "openvino" (pip install "mrcnn-plus[openvino]"), an engine
    # made for inference on CPUs. The same detections; the first one with new weights waits for a conversion, which is
    # kept on disk. Which is faster depends on the processor: try both (benchmarks/RESULTS.md).
    INFERENCE_ENGINE = "keras"

    # Make the weights constants of the graph of `detect`: None where it is faster (TensorFlow on a CPU: 1.3 times) and
    # memory suffices (12 times the weights), True wherever it is faster, False for a quicker first detection and half
    # the memory.
    CONSTANT_WEIGHTS = None

    # How many batches are loaded and augmented at once while the network computes; None chooses by the number of cores
    # (one less, between 2 and 4), 0 loads in the main thread, which is the easiest to debug.
    WORKERS = None

    # False: WORKERS are threads, which suits most data sets, for decoding and resizing run on all cores at once. True:
    # they are processes, which also share out Python code (drawing masks, augmentation); each holds a copy of the data
    # set, takes seconds to start, and needs everything that loads images in importable modules.
    USE_MULTIPROCESSING = False

    # ---- Classes ----------------------------------------------------------------------------------------------------

    # Number of classes with the background: 1 + the classes of the data set. Every data set needs its own value.
    NUM_CLASSES = 1

    # ---- Input images -----------------------------------------------------------------------------------------------

    # How images of different sizes get the size that the network takes:
    #   "square"  enlarge until the short side has IMAGE_MIN_DIM, shrink if the long side then exceeds IMAGE_MAX_DIM,
    #             and pad with zeros to IMAGE_MAX_DIM x IMAGE_MAX_DIM. Right for most data sets.
    #   "pad64"   enlarge as above without an upper limit, and pad both sides to the next multiple of 64. Keeps
    #             elongated images free of useless padding; IMAGE_MAX_DIM is not used for resizing.
    #   "crop"    enlarge as for "pad64", then cut a random square of IMAGE_MIN_DIM. For training on images that are too
    #             large to be seen whole; detection needs another mode.
    #   "none"    leave images as they are. All must have the same size, with sides that are multiples of 64.
    IMAGE_RESIZE_MODE = "square"

    # Pixels of the molded image. Larger sizes show small objects in more pixels and cost memory and time in
    # proportion to the area; enlarging photographs beyond their own size adds no detail. Sides of the molded image
    # have to be multiples of 64, because the pyramid halves it six times. With 0 for IMAGE_MIN_DIM "square" enlarges
    # nothing.
    IMAGE_MIN_DIM = 800
    IMAGE_MAX_DIM = 1024

    # Least factor of enlargement; 2 doubles every image even where IMAGE_MIN_DIM asks for less. For data whose
    # objects are smaller than the smallest anchor. In "square" mode IMAGE_MAX_DIM has the last word. 0 switches it
    # off.
    IMAGE_MIN_SCALE = 0

    # Channels of an image: 3 for RGB, 1 for grey, more for other sensors. With other than 3, give MEAN_PIXEL as many
    # values, let `Dataset.load_image` return that many, and exclude "conv1" when weights for RGB are loaded.
    IMAGE_CHANNEL_COUNT = 3

    # Mean of each channel over the training set, in grey levels 0 to 255, in RGB order; it is subtracted from every
    # image. The default belongs to ImageNet and COCO weights. Keep it with weights that were trained with it.
    MEAN_PIXEL = np.array([123.7, 116.8, 103.9])

    # ---- Backbone and pyramid ---------------------------------------------------------------------------------------

    # "resnet101" or "resnet50"; ours also "resnet34" and "resnet18", for small data sets and slow machines. Deeper
    # ones see more and take longer; weights fit one of them only. Or a function with the signature of
    # `model.resnet_graph`, which returns the five stages C1 to C5.
    BACKBONE = "resnet101"

    # Channels of the first convolution of a built-in ResNet, from which all others follow (not in Matterport, which has
    # 64 fixed). 32 takes a quarter of the arithmetic of 64 and half the memory, and holds less; published
    # weights need 64.
    BACKBONE_WIDTH = 64

    # With a function as BACKBONE: a function `image_shape -> [levels, (height, width)]`, the sizes of P2 to P6. None
    # takes image size / BACKBONE_STRIDES, rounded up.
    COMPUTE_BACKBONE_SHAPE = None

    # Pixels of the molded image per cell of the pyramid levels P2 to P6. A property of the backbone, not a choice:
    # the ResNets need these values.
    BACKBONE_STRIDES = [4, 8, 16, 32, 64]

    # Normalization layers: "batch", as in all published weights, or "group" (not in Matterport), which does not
    # depend on the batch size. Choose "group" to train a backbone from random weights with few images per step.
    NORMALIZATION = "batch"

    # Batch normalization layers: False freezes their statistics, right for the small batches that fit in memory; None
    # trains them as usual and wants 8 images or more per device; True uses the statistics of the current batch even
    # in detection and is hardly ever wanted.
    TRAIN_BN = False

    # Channels of every pyramid level. Fewer are faster and hold less; published weights need 256.
    TOP_DOWN_PYRAMID_SIZE = 256

    # ---- Anchors and region proposals -------------------------------------------------------------------------------

    # Side of a square anchor at each pyramid level, P2 to P6, in pixels of the molded image: one value per level,
    # growing. An object that overlaps no anchor by half is hardly learnt, so choose them by the sizes of your
    # objects.
    RPN_ANCHOR_SCALES = (32, 64, 128, 256, 512)

    # Width / height of the anchors at each cell; all have the area of the square one. 0.5 makes a tall anchor, half
    # as wide as high, and 2 a wide one. More ratios find elongated objects and cost time; published weights need
    # three.
    RPN_ANCHOR_RATIOS = [0.5, 1, 2]

    # Cells of the feature map from one anchor to the next. 2 makes a quarter of the anchors: faster, and small
    # objects are missed.
    RPN_ANCHOR_STRIDE = 1

    # Channels of the convolution that the region proposal network runs over every level (not in Matterport, which has
    # 512 fixed). Fewer are faster; published weights need 512.
    RPN_CONV_CHANNELS = 512

    # Anchors per image that enter the losses of the proposal network, half of them positive where there are so many.
    RPN_TRAIN_ANCHORS_PER_IMAGE = 256

    # Proposals per image: the best PRE_NMS_LIMIT by score go into non-maximum suppression, which drops those that
    # overlap a better one by an IoU above RPN_NMS_THRESHOLD, and the best POST_NMS_ROIS_... of the rest are kept.
    # More proposals find more objects in crowded images and cost time. A higher threshold keeps more neighbours.
    PRE_NMS_LIMIT = 6000
    RPN_NMS_THRESHOLD = 0.7
    POST_NMS_ROIS_TRAINING = 2000
    POST_NMS_ROIS_INFERENCE = 1000

    # Least height and width of a proposal, in pixels of the molded image; smaller ones are left out before non-maximum
    # suppression, in training and detection (not in Matterport, which keeps all). Where training sticks at the heads
    # because most proposals are specks, 16 or 20 makes room for better ones. Objects below it are lost: stay well under
    # the smallest. 0 keeps all.
    RPN_MIN_SIZE = 0

    # False trains the heads on boxes that the program feeds in (`input_roi`) in place of proposals; for experiments.
    USE_RPN_ROIS = True

    # Spread by which box corrections (dy, dx, log dh, log dw) are divided, so that the network learns numbers near 1.
    # RPN_ for the proposals, the other for the heads. Part of the meaning of trained weights: leave them alone.
    RPN_BBOX_STD_DEV = np.array([0.1, 0.1, 0.2, 0.2])
    BBOX_STD_DEV = np.array([0.1, 0.1, 0.2, 0.2])

    # ---- Heads ------------------------------------------------------------------------------------------------------

    # How features are cut out under a box: "crop_and_resize", as Matterport's weights were trained with, or "exact",
    # the ROI align of the paper, which averages several samples per cell. For weights trained from the start, "exact"
    # places large boxes a little better and takes longer.
    ROI_ALIGN = "crop_and_resize"

    # Side of the feature patch cut out for each box, in cells: for class and box, and for the mask.
    POOL_SIZE = 7
    MASK_POOL_SIZE = 14

    # Units of the two dense layers before class and box. Published weights need 1024.
    FPN_CLASSIF_FC_LAYERS_SIZE = 1024

    # Channels of the convolutions of the mask head (not in Matterport, which has 256 fixed). Fewer are faster;
    # published weights need 256.
    MASK_CONV_CHANNELS = 256

    # (height, width) of the predicted masks, in pixels inside the box. The mask head doubles its patch once, so it
    # has to be twice MASK_POOL_SIZE.
    MASK_SHAPE = [28, 28]

    # ---- Ground truth -----------------------------------------------------------------------------------------------

    # Most objects per image used in training; of an image with more, a random selection. Memory grows with it.
    MAX_GT_INSTANCES = 100

    # Keep each true mask as the content of its box, shrunk to MINI_MASK_SHAPE = (height, width), in place of a mask
    # of the whole image. Saves gigabytes with large images; the outline of objects much larger than the shape gets
    # coarser.
    USE_MINI_MASK = True
    MINI_MASK_SHAPE = (56, 56)

    # Train on images without any object too (not in Matterport, which leaves them out). They teach the network what
    # is background: set it where false detections on empty images are the trouble.
    USE_NEGATIVE_IMAGES = False

    # Whether training leaves out images that cannot be loaded. False: the first one is an error that names it. True:
    # another image takes its place, each such image is named in a warning and `skipped_images` is logged; more than a
    # tenth of the images is an error still.
    SKIP_BAD_IMAGES = False

    # Whether training keeps what `load_mask` returned, packed in memory, and asks for it once for each image and stage.
    # For masks that are slow to make, such as a file for each instance; `load_mask` has to return the same every time.
    # Some KB to some tens of KB for an image; with USE_MULTIPROCESSING each process keeps its own.
    CACHE_ANNOTATIONS = False

    # Order of the training images (not in Matterport, which shuffles):
    #   "shuffle"         every image once before any twice.
    #   "class_balanced"  every class has the same number of turns; a turn shows an image that holds the class. Strong:
    #                     the few images of a rare class come so often that they may be learnt by heart. Images without
    #                     objects take turns as a class of their own with USE_NEGATIVE_IMAGES, else they do not come.
    #   "repeat_factor"   images with a class that fewer than REPEAT_THRESHOLD of the images hold come more often, by
    #                     the square root of what is lacking; mild. 0.001 is for thousands of classes (LVIS); with a
    #                     handful of classes take 0.1 to 0.5.
    # A sampler changes what is seen, CLASS_WEIGHTS what it counts; both together correct twice.
    SAMPLER = "shuffle"
    REPEAT_THRESHOLD = 0.001

    # Proposals per image that train the heads, and the share of them that overlap an object. The paper takes 512, but
    # rarely are there enough positive ones to hold the share; with few or small objects lower the count, not the
    # share.
    TRAIN_ROIS_PER_IMAGE = 200
    ROI_POSITIVE_RATIO = 0.33

    # ---- Detection --------------------------------------------------------------------------------------------------

    # Most objects reported per image. Raise it, MAX_GT_INSTANCES and the numbers of proposals together for crowded
    # images.
    DETECTION_MAX_INSTANCES = 100

    # Least probability of the class for a detection to be reported, 0 to 1. Lower finds more objects and more that
    # are none. For average precision use 0.05 or less, or the curve is cut off.
    DETECTION_MIN_CONFIDENCE = 0.7

    # Of two detections of one class with boxes that overlap by an IoU above this, the better one stays. Raise it
    # where objects of a class truly overlap.
    DETECTION_NMS_THRESHOLD = 0.3

    # Whether `detect` leaves out the padding that makes photos square (IMAGE_RESIZE_MODE "square"), down to three
    # quarters of the side, or half of it: photos of 4:3, 3:2 and 16:9 then take a fourth less time. Detections change a
    # little, for the network has learnt with padding around. Tall, wide and square photos get a graph each, so the
    # first of each kind takes longer, and takes memory again (on TensorFlow's CPU as far as it is there).
    DETECTION_CROP_PADDING = False

    # ---- Training ---------------------------------------------------------------------------------------------------

    # Steps of BATCH_SIZE images in an epoch. Images / BATCH_SIZE shows every image once per epoch; checkpoints and
    # validation come after each epoch.
    STEPS_PER_EPOCH = 1000

    # Steps of validation after each epoch. Where the program sets it, validation stops there; otherwise it walks the
    # whole validation set, so that losses of two epochs compare (Matterport validates on random images).
    VALIDATION_STEPS = 50

    # "SGD" with momentum, or (not in Matterport) "AdamW", which needs less tuning when training starts from random
    # weights; then take a rate near 1e-4. Or a Keras optimizer, or a function
    # `learning_rate -> optimizer`.
    OPTIMIZER = "SGD"

    # Step width, for 2 images per step. Programs pass it to `train(learning_rate=...)`. Too high: losses jump or
    # become NaN; too low: nothing moves. The paper's 0.02 is for 16 images and diverges with 2.
    LEARNING_RATE = 0.001

    # Share of the previous step that SGD carries on.
    LEARNING_MOMENTUM = 0.9

    # Factors of the learning rate for parts of the network (this and the following up to TRAIN_STAGES are not in
    # Matterport): {"backbone": 0.1, "rpn": 0.2, "heads": 1.0}. Parts are "backbone", "fpn", "rpn", "class_head",
    # "mask_head", and "heads" for the last two; any other name is a regular expression that matches whole layer names.
    # What is not named has 1. A pretrained backbone wants less than heads that begin at random.
    LR_MULTIPLIERS = {}

    # How the rate falls in the course of a stage: None keeps it; "step" multiplies it by LR_STEP_FACTOR after each of
    # LR_STEPS, shares of the stage's steps; "cosine" lets it fall smoothly to 0; or a Keras schedule, or a function
    # (learning_rate, steps) -> schedule. A schedule given to train(learning_rate=...) comes before this. With one, or
    # with WARMUP_STEPS, callbacks such as ReduceLROnPlateau cannot set the rate, and are refused.
    LR_SCHEDULE = None
    LR_STEPS = (0.67, 0.89)
    LR_STEP_FACTOR = 0.1

    # Steps at the beginning of each stage in which the rate rises to its value. Some hundred help where losses explode
    # in the first steps: with rates that are high, heads that are new, or AdamW.
    WARMUP_STEPS = 0

    # Steps whose mean gradient makes one update: batches as large as memory does not hold, in so many times the time.
    # Raise the learning rate with it. STEPS_PER_EPOCH should be a multiple, else an update straddles two epochs.
    GRADIENT_ACCUMULATION_STEPS = 1

    # A moving average of the weights, which is what gets validated and saved: smoother, often a little better. 0.999
    # averages over about the last 1,000 steps; take less for short runs. None for none. Costs memory for one more copy
    # of the weights.
    EMA_MOMENTUM = None

    # Stages for `train_stages`: a list of `mrcnn_plus.Stage(layers, epochs, learning_rate)` or such tuples, for example
    # [("heads", 20, 1e-3), ("all", 60, 1e-4)]; epochs count from the beginning of all training, as in `train`.
    TRAIN_STAGES = None

    # Checkpoints to keep: the newest so many, or all of them with None. Each has the size of the weights (180 MB for
    # ResNet-50, 250 MB for ResNet-101) and beside it a state file, for `train(resume=True)`, of up to the same size.
    KEEP_LAST = None

    # Name of a logged value, such as "val_loss". The weights where it was best are kept as best_mask_rcnn_<name>.h5
    # in the folder of the run. Losses and "loss" in a name mean that less is better, other names that more is.
    BEST_METRIC = None

    # End a stage when BEST_METRIC ("val_loss" if that is None, "loss" without validation) has not become better for so
    # many epochs. Stages of `train_stages` that follow are trained as long as planned. None trains to the end.
    EARLY_STOPPING_PATIENCE = None

    # Epochs from one evaluation of the validation data to the next: COCO's average precision of boxes and masks, logged
    # as val_box_AP, val_mask_AP, val_mask_AP50, ..., and so open to BEST_METRIC. Losses do not tell how good detections
    # are. It costs a detection of every validation image; `EvaluationCallback(every=..., limit=...)` in
    # `custom_callbacks` takes fewer. 0 never evaluates, as Matterport's code.
    EVALUATE_EVERY = 0

    # What training prints: 0 nothing; 1 a line that follows the steps, and after each epoch a table of all losses with
    # weight, share and change, learning rates, gradient norms and speed; 2 one line per epoch. Files get all of it in
    # any case. Not in Matterport's code.
    VERBOSE = 1

    # True judges the run after each epoch by its losses and by what the steps count (positive ROIs, what each head has
    # learnt, how far weights move), logs a verdict when it is new, and keeps all in verdicts.json; some milliseconds an
    # epoch. False leaves that to `mrcnn-plus diagnose LOG_DIR`. LINT_IGNORE and LINT_THRESHOLDS hold for verdicts, too.
    WATCH_TRAINING = True

    # Factor of the L2 penalty: the mean square of each trained variable, without those of normalization layers. Higher
    # values work against over-fitting.
    WEIGHT_DECAY = 0.0001

    # Largest norm of the gradient; a longer one is shortened to it. Guards against single bad batches. None switches it
    # off. GRADIENT_CLIP_BY "variable" shortens the gradient of each variable by itself; "global" (not in Matterport's
    # code) shortens all together, which keeps the direction of the step: 5 to 10 are usual there.
    GRADIENT_CLIP_NORM = 5.0
    GRADIENT_CLIP_BY = "variable"

    # Factor of each loss in the total. Raise the one whose part lags behind, for instance the mask loss where boxes
    # are good and masks are poor.
    LOSS_WEIGHTS = {
        "rpn_class_loss": 1.0,
        "rpn_bbox_loss": 1.0,
        "mrcnn_class_loss": 1.0,
        "mrcnn_bbox_loss": 1.0,
        "mrcnn_mask_loss": 1.0,
    }

    # ---- Losses (none of these in Matterport; the defaults are its behaviour) ---------------------------------------

    # Weight of each class in the class loss, where one class has most of the instances and the others are not learnt:
    #   None            all count the same.
    #   "balanced"      1 / instances of the class. Beyond 20:1 a few rare instances move much: lower the learning rate.
    #   "effective"     milder: instances beyond about 1 / (1 - CLASS_WEIGHTS_BETA) of a class add nothing new.
    #   {"cell": 1.0, "spore": 5.0, "*": 1.0}   by name or class id; "*" stands for all that are not named, "BG" for the
    #                   background, which has weight 1 otherwise.
    # Scaled to a mean of 1 over the instances of the training data, so that LEARNING_RATE keeps its meaning; the
    # table is logged and stored with the run as class_weights.csv.
    CLASS_WEIGHTS = None
    CLASS_WEIGHTS_BETA = 0.999

    # Losses in which they count; "mrcnn_bbox_loss" can be added. In the mask loss they made trainings of others NaN.
    CLASS_WEIGHTS_LOSSES = ("mrcnn_class_loss",)

    # Factor of objects against background: of positive anchors in the RPN's class loss, of positive ROIs in the class
    # loss. Where after some epochs nothing is detected any more, because background is nearly always right, 5.0 and
    # 3.0 are known to help. More false detections are the price.
    RPN_POSITIVE_WEIGHT = 1.0
    ROI_POSITIVE_WEIGHT = 1.0

    # "cross_entropy", or "focal", which takes interest away from what is right already: times (1 - p) ** FOCAL_GAMMA, p
    # the probability of the right class. FOCAL_ALPHA weighs objects, 1 - FOCAL_ALPHA background; None leaves both at 1.
    # The paper's 2.0 and 0.25 are for all anchors of an image, where background is thousands to one; anchors and ROIs
    # are sampled here, so None or 0.5 fits better. Focal losses are about a tenth as large: raise them in LOSS_WEIGHTS,
    # or divide them by "positives" below.
    RPN_CLASS_LOSS = "cross_entropy"
    CLASS_LOSS = "cross_entropy"
    FOCAL_GAMMA = 2.0
    FOCAL_ALPHA = None

    # Hard examples: of the ROIs of each image only so many with the highest class and box loss train the class and box
    # head; a number, or a share such as 0.25. For data with much easy background. It also picks out wrong annotations.
    # None trains on all.
    ROI_HARD_EXAMPLES = None

    # What the sum of each loss is divided by, where fields differ; see network/losses.py. A loss that is not named has
    # the first, which is Matterport's.
    #   "rpn_class_loss"    "sampled" anchors, "positives"
    #   "rpn_bbox_loss"     "positives" (their coordinates), "sampled" anchors (torchvision)
    #   "mrcnn_class_loss"  "rows" of the sample with padding, "sampled" ROIs without padding, "positives"
    #   "mrcnn_bbox_loss"   "positives" (their coordinates), "sampled" ROIs (torchvision)
    # With few positive proposals most rows are padding, which is easy background and shrinks the class loss: try
    # "sampled" there.
    LOSS_NORMALIZATION = {}

    # "fixed" takes LOSS_WEIGHTS; "uncertainty" learns further factors while training, so that no loss drowns the
    # others: each comes to count about 1 / (2 x its size). They move with the learning rate and need hundreds of steps.
    # The total is no measure of progress then: plain_loss and val_plain_loss are the sums of the five as they are, and
    # BEST_METRIC and early stopping follow those in the place of loss and val_loss.
    LOSS_BALANCING = "fixed"

    # ---- The linter -------------------------------------------------------------------------------------------------

    # Codes of rules that do not apply to this program, or their beginnings: ("CFG057", "DAT02").
    LINT_IGNORE = ()

    # Other thresholds for rules: {"DAT031": {"max_share": 0.2}}. `mrcnn-plus lint --explain DAT031` names those of a
    # rule.
    LINT_THRESHOLDS = {}
