from torch import Tensor, nn


class Docstrings(nn.Module):
    '''Says "hello".'''

    def forward(self, x: Tensor) -> Tensor:
        r"""A raw one: \d, C:\new, and a trailing backslash \\"""
        return x

    def triple(self, x: Tensor) -> Tensor:
        '''Has """ inside, and ends with "quotes"'''
        return x

    def begins(self, x: Tensor) -> Tensor:
        '"Begins" with quotes'
        return x

    def lines(self, x: Tensor) -> Tensor:
        """Several lines.

        Args:
            x: the input.
                Indented deeper.

        Ends here with a backslash \\
        """
        return x

    def ends(self, x: Tensor) -> Tensor:
        '''Several lines

        that end with "quotes"'''
        return x

    def tabs(self, x: Tensor) -> Tensor:
        """Tab\there, trailing space here   

        \tand here.
        """
        return x

    def empty(self, x: Tensor) -> Tensor:
        """"""
        return x

    def blank(self, x: Tensor) -> Tensor:
        """   """
        return x

    def braces(self, x: Tensor) -> Tensor:
        """{{ not a template }} {% raw %} {# comment #}"""
        return x
