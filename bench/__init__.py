"""What ruapi costs, measured beside nginx on the same machine in the same minute."""
