"""From kernel specifications to machine code, through LLVM. Makes no scheduling decisions."""
