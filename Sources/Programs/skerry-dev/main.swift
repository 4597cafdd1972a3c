await DevCommand.main()
