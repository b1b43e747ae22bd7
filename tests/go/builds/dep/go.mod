module earshot.test/dep

go 1.19
