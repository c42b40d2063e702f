"""From an ONNX file of any origin to a model that keeps our contract, or the reasons why not."""
