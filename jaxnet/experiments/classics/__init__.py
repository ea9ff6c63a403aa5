"""Classic fully connected networks on MNIST with their own protocols: LeCun 1998, Hinton 2005, Simard 2003, Ciresan 2010."""
