"""From a picture to probabilities: weights, detectors, crops, classifier. numpy, OpenCV and onnxruntime only."""
