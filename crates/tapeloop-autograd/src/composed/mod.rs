//! What is made of operations: plain methods, with no derivative of their own to get wrong.
