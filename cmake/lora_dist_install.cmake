include(GNUInstallDirs)
install(TARGETS lora_dist RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/lora_dist/configs)
