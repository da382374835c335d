package main

import (
	_ "github.com/chromedp/chromedp"
	_ "github.com/spike-by-spike/sbs/internal/page"
	_ "github.com/stretchr/testify/require"
)
