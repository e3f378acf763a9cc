"""What a generated file is at run time: its declaration, its loading, its TorchScript operators."""
