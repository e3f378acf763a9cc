# eager
X = 1
